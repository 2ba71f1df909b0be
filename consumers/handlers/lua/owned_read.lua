-- Read new entries for the owner of a partition.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[7]  hash    {ns:P}:aside:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  consumer
-- ARGV[4]  entries, at most
-- Reply    -1 if another owns, else {server's time in ms, {{id, fields, tries or nil, 0}, ...},
--          nil; or the stream's last id if nothing was found}

-- include before
-- include check_writes
-- include entry_id
-- include fields

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[2], 'stream', 'XINFO STREAM')
check_writes(KEYS[3], 'hash', 'HGET')
check_writes(KEYS[7], 'hash', 'HSET')
local sorted = redis.call('HGET', KEYS[7], 'sorted')
local has_tries = redis.call('HLEN', KEYS[3]) > 0
local time = redis.call('TIME')
local read = redis.call(
  'XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[2], '>'
)
local entries = {}
for at, entry in ipairs(read and read[1][2] or {}) do
  local tries = has_tries and redis.call('HGET', KEYS[3], entry[1])
  entries[at] = {entry[1], entry[2], tries, 0}
end
if is_entry_id(sorted) and entries[1] and not is_beyond(entries[1][1], sorted) then
  -- The group was moved back: these are not sorted yet.
  redis.call('HSET', KEYS[7], 'sorted', before(entries[1][1]))
end

local last = false
if #entries == 0 then
  last = fields(redis.call('XINFO', 'STREAM', KEYS[2]))['last-generated-id']
end
return {time[1] * 1000 + math.floor(time[2] / 1000), entries, last}
