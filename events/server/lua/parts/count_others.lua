-- The heads and the event ids count every entry up to one, which the event ids have in their field
-- `counted`. What other programs added after it, by XADD, is counted before anything is decided.
-- Needs the parts check_writes, entry_id and fields.

-- Return the entry up to which all are counted now; nil if there are more, for another call.
local function count_others(stream, heads, event_ids, counted)
  if not is_entry_id(counted) then
    -- The release before kept heads alone: they count what is there.
    local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    counted = last and redis.call('EXISTS', heads) == 1 and last[1] or '0-0'
  end
  local function next_entry()
    return counted ~= LAST_ID and redis.call('XRANGE', stream, '(' .. counted, '+', 'COUNT', 1)[1]
  end
  local found = next_entry()
  if not found then return counted end

  local UUID_BYTES, BYTES_AT_ONCE, ENTRIES_AT_ONCE = 36, 1048576, 1000
  local function canonical(uuid)
    local digits = string.gsub(string.lower(uuid), '-', '')
    return (string.gsub(digits, '^(%x%x%x%x%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x%x%x%x)', '%1-%2-%3-%4-'))
  end

  check_writes(stream, 'stream', 'XADD')
  check_writes(heads, 'hash', 'HSET')
  check_writes(event_ids, 'hash', 'HSETNX', 'HSET')
  local entries, bytes = 0, 0
  while found and entries < ENTRIES_AT_ONCE and bytes < BYTES_AT_ONCE do
    counted = found[1]
    local entry = fields(found[2])
    local payload, event_id = entry['payload'] or '', entry['id'] or ''
    for uuid in string.gmatch(payload, '"endpoint_id"%s*:%s*"([%x-]+)"') do
      local endpoint = canonical(uuid)
      if #endpoint == UUID_BYTES then redis.call('HSET', heads, endpoint, counted) end
    end
    if #event_id == UUID_BYTES then redis.call('HSETNX', event_ids, event_id, counted) end
    entries, bytes = entries + 1, bytes + #payload
    found = next_entry()
  end
  redis.call('HSET', event_ids, 'counted', counted)
  if not found then return counted end
end
