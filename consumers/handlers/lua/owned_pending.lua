-- Take over the group's pending entries for the owner of a partition, whoever had them.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  consumer
-- ARGV[4]  where to begin, "-" or "(" and an entry id
-- ARGV[5]  entries, at most
-- Reply    -1 if another owns, else {server's time in ms, {{id, fields, tries or nil}, ...}};
--          the fields are nil if the entry was deleted from the stream

-- include check_writes

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[2], 'stream', 'XRANGE')
check_writes(KEYS[3], 'hash', 'HGET')
local time = redis.call('TIME')
local entries = {}
for at, one in ipairs(
  redis.call('XPENDING', KEYS[2], ARGV[2], ARGV[4], '+', ARGV[5])
) do
  redis.call('XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, one[1], 'IDLE', 0, 'JUSTID')
  local found = redis.call('XRANGE', KEYS[2], one[1], one[1])
  entries[at] = {one[1], found[1] and found[1][2] or false, redis.call('HGET', KEYS[3], one[1])}
end
return {time[1] * 1000 + math.floor(time[2] / 1000), entries}
