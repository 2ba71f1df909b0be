-- Move an entry to its group's dead letters, added there and acknowledged here, and keep the group's
-- position, in one step.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  stream  {ns:P}:dead:GROUP
-- KEYS[3]  hash    {ns:P}:errors:GROUP
-- KEYS[4]  hash    {ns:P}:positions, holder -> entry id
-- ARGV[1]  group
-- ARGV[2]  its holder
-- ARGV[3]  entry id
-- ARGV[4]  ... fields and values of the dead letter, some thousands at most
-- Reply    id of the dead letter, nil if the entry was no longer pending

-- include before
-- include check_writes
-- include entry_id
-- include fields
-- include stand

check_writes(KEYS[1], 'stream', 'XACK')
check_writes(KEYS[3], 'hash', 'HDEL')
check_stand(KEYS[1], KEYS[4])
local dead_id
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1) > 0 then
  dead_id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 4))
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  stand(KEYS[1], KEYS[4], ARGV[1], ARGV[2])
end
redis.call('HDEL', KEYS[3], ARGV[3])
return dead_id
