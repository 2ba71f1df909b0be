-- Take over pending entries of a group for the owner of a partition, whoever had them.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  consumer
-- ARGV[4]  entries of each range, at most
-- ARGV[5]  ... ranges: "-", an entry id, or "(" and one; then "+" or an entry id
-- Reply    -1 if another owns, else {server's time in ms, {{id, fields, tries or nil, 1 if another
--          consumer had it}, ...}}; the fields are nil if the entry was deleted from the stream: it
--          stays pending with whoever had it

-- include check_writes

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[2], 'stream', 'XRANGE')
check_writes(KEYS[3], 'hash', 'HGET')
local time = redis.call('TIME')
local entries = {}
for at = 5, #ARGV, 2 do
  for _, one in ipairs(
    redis.call('XPENDING', KEYS[2], ARGV[2], ARGV[at], ARGV[at + 1], ARGV[4])
  ) do
    local found = redis.call('XRANGE', KEYS[2], one[1], one[1])
    local is_claimed = one[2] ~= ARGV[3]
    if is_claimed and found[1] then
      redis.call('XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, one[1], 'IDLE', 0, 'JUSTID')
    end
    entries[#entries + 1] = {
      one[1], found[1] and found[1][2] or false, redis.call('HGET', KEYS[3], one[1]),
      is_claimed and 1 or 0
    }
  end
end
return {time[1] * 1000 + math.floor(time[2] / 1000), entries}
