-- Up to where a group was delivered. Needs the parts entry_id and fields.

local function about_group(stream, group)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local about = fields(flat)
    if about['name'] == group then return about end
  end
  error({err = 'NOGROUP No such consumer group'})
end

-- Return which entry the group was given last, counted from the first that was ever appended; nil if
-- the server leaves a doubt.
local function offset_of(about, group)
  if not is_beyond(about['last-generated-id'], group['last-delivered-id']) then
    return about['entries-added']
  end
  return about['entries-added'] == about['length'] and group['entries-read'] or nil
end

-- Record up to where the group was delivered, and the counts at that moment, unless that is known.
local function record(delivered, about, group, known)
  local counts = {
    about['entries-added'] - about['length'], group['entries-read'] or '-', group['pending'],
    offset_of(about, group) or '-'
  }
  local text = group['last-delivered-id'] .. ' ' .. table.concat(counts, ' ')
  if not known or known.text ~= text then redis.call('SET', delivered, text) end
end

local function record_delivered(stream, delivered, name)
  record(delivered, fields(redis.call('XINFO', 'STREAM', stream)), about_group(stream, name))
end

-- Return what was recorded, nil if nothing was.
local function recorded(delivered)
  local text = redis.call('GET', delivered) or ''
  local id, removed, read, pending, offset = string.match(
    text, '^(%d+%-%d+) (%d+) ([%d-]+) (%d+) ([%d-]+)$'
  )
  return id and {
    text = text,
    id = id, removed = tonumber(removed), read = tonumber(read), pending = tonumber(pending),
    offset = tonumber(offset)
  }
end
