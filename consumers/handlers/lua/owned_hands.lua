-- Write down what the owner of a partition has in hand, and where the other entries begin.
--
-- KEYS[1]  string       {ns:P}:fence:GROUP
-- KEYS[6]  set          {ns:P}:hand:GROUP
-- KEYS[7]  hash         {ns:P}:aside:GROUP
-- ARGV[1]  owner
-- ARGV[2]  up to which entry, inclusive, all pending ones are sorted; '' for no change
-- ARGV[3]  number of entries taken into hand; then their ids
-- then     number of entries put back; then their ids
-- then     ... endpoint, its first entry that waits aside, '' for none
-- Reply    -1 if another owns, else 1

-- include check_writes

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[6], 'set', 'SADD', 'SREM')
check_writes(KEYS[7], 'hash', 'HDEL', 'HSET')

local at = 3
for _, command in ipairs({'SADD', 'SREM'}) do
  local count = tonumber(ARGV[at])
  for from = at + 1, at + count, 1000 do
    redis.call(command, KEYS[6], unpack(ARGV, from, math.min(from + 999, at + count)))
  end
  at = at + 1 + count
end
for field = at, #ARGV, 2 do
  if ARGV[field + 1] == '' then
    redis.call('HDEL', KEYS[7], ARGV[field])
  else
    redis.call('HSET', KEYS[7], ARGV[field], ARGV[field + 1])
  end
end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[7], 'sorted', ARGV[2]) end
return 1
