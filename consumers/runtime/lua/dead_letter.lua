-- Move an entry to its group's dead letters: added there and acknowledged here, in one step.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  stream  {ns:P}:dead:GROUP
-- KEYS[3]  hash    {ns:P}:errors:GROUP
-- ARGV[1]  group
-- ARGV[2]  entry id
-- ARGV[3]  ... fields and values of the dead letter, some thousands at most
-- Reply    id of the dead letter, nil if the entry was no longer pending

-- include check_writes

check_writes(KEYS[1], 'stream', 'XACK')
check_writes(KEYS[3], 'hash', 'HDEL')
local dead_id
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) > 0 then
  dead_id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 3))
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('HDEL', KEYS[3], ARGV[2])
return dead_id
