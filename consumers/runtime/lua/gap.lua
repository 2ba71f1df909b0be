-- Count entries trimmed before a group had read them, and refresh the idle time of a consumer.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  group
-- ARGV[2]  consumer
-- Reply    {} if there were none, else {entries, or -1 if unknown; the id that was delivered
--          last; the id of the first entry left, or of the last entry ever appended}

-- include entry_id
-- include fields
-- include touch_consumer

local stream = fields(redis.call('XINFO', 'STREAM', KEYS[1]))
local group
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local about = fields(flat)
  if about['name'] == ARGV[1] then group = about end
end
touch_consumer(KEYS[1], ARGV[1], ARGV[2])
if stream['entries-added'] == stream['length'] then return {} end

local delivered, last = group['last-delivered-id'], stream['last-generated-id']
local first = stream['first-entry'] and stream['first-entry'][1] or last
if not is_beyond(first, delivered) then return {} end

local entries = -1
if stream['max-deleted-entry-id'] == '0-0' and group['entries-read'] then
  entries = stream['entries-added'] - stream['length'] - group['entries-read']
end
if entries == 0 then return {} end
return {entries, delivered, first}
