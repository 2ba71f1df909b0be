-- Read new entries for the owner of a partition.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[5]  hash    {ns:P}:positions, holder -> entry id
-- KEYS[7]  hash    {ns:P}:aside:GROUP
-- KEYS[8]  string  {ns:P}:delivered:GROUP
-- KEYS[9]  stream  {ns:P}:losses
-- KEYS[10] hash    {ns:P}:lost, group -> entries it ever lost
-- ARGV[1]  owner
-- ARGV[2]  entries, at most
-- ARGV[3]  group
-- ARGV[4]  its holder
-- ARGV[5]  consumer
-- ARGV[6]  the newest entry that the consumer remembers, see has_event, '' for none
-- ARGV[7]  losses that are kept, approximately
-- ARGV[8]  when, RFC 3339
-- Reply    -1 if another owns, else {server's time in ms, {{id, fields, tries or nil, 0}, ...},
--          nil; or the stream's last id if nothing was found, what check_history returns}

-- include before
-- include check_writes
-- include entry_id
-- include fields
-- include has_event
-- include delivered
-- include lose
-- include stand
-- include touch_consumer
-- include check_history

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[2], 'stream', 'XINFO STREAM')
check_writes(KEYS[3], 'hash', 'HGET')
check_writes(KEYS[7], 'hash', 'HSET')
local keys = {
  stream = KEYS[2], positions = KEYS[5], delivered = KEYS[8], losses = KEYS[9], lost = KEYS[10]
}
check_checks(keys)
local sorted = redis.call('HGET', KEYS[7], 'sorted')
local has_tries = redis.call('HLEN', KEYS[3]) > 0
local time = redis.call('TIME')
local names = {group = ARGV[3], holder = ARGV[4], consumer = ARGV[5], newest = ARGV[6]}
local looked = check_history(keys, names, ARGV[7], ARGV[8])
local read = redis.call(
  'XREADGROUP', 'GROUP', ARGV[3], ARGV[5], 'COUNT', ARGV[2], 'STREAMS', KEYS[2], '>'
)
record_delivered(KEYS[2], KEYS[8], ARGV[3])
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
return {time[1] * 1000 + math.floor(time[2] / 1000), entries, last, looked}
