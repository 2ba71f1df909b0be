-- Where a group stands: before its oldest pending entry, or at its last delivered one.
-- Needs the parts before, check_writes, entry_id and fields.

-- Refuse what `stand` would be refused, before the script's first write.
local function check_stand(stream, positions)
  check_writes(stream, 'stream', 'XPENDING', 'XINFO GROUPS', 'XINFO STREAM')
  check_writes(positions, 'hash', 'HGET', 'HSET')
end

local function stands_at(stream, group)
  local pending = redis.call('XPENDING', stream, group, '-', '+', 1)
  if #pending > 0 then return before(pending[1][1]) end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local about = fields(flat)
    if about['name'] == group then return about['last-delivered-id'] end
  end
end

-- Keep the position beside the stream, never lower than before; return the one that is kept now.
local function stand(stream, positions, group, holder)
  local stands = stands_at(stream, group)
  local kept = redis.call('HGET', positions, holder)
  if kept == stands then return kept end
  if is_entry_id(kept) and is_beyond(kept, stands) then
    -- A position beyond the end belongs to a history that no longer exists.
    local last = fields(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
    if not is_beyond(kept, last) then return kept end
  end
  redis.call('HSET', positions, holder, stands)
  return stands
end
