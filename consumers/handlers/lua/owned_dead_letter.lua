-- Move an entry to its group's dead letters, for the owner of its partition, and keep the
-- group's position.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[4]  hash    {ns:P}:errors:GROUP
-- KEYS[5]  hash    {ns:P}:positions, holder -> entry id
-- KEYS[6]  set     {ns:P}:hand:GROUP
-- KEYS[7]  hash    {ns:P}:aside:GROUP
-- KEYS[8]  stream  {ns:P}:dead:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  its holder
-- ARGV[4]  entry id
-- ARGV[5]  ... fields and values of the dead letter, some thousands at most
-- Reply    -1 if another owns, 0 if the entry was no longer pending, else 1

-- include before
-- include check_writes
-- include entry_id
-- include fields
-- include stand

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[2], 'stream', 'XACK')
check_writes(KEYS[3], 'hash', 'HDEL')
check_writes(KEYS[4], 'hash', 'HDEL')
check_writes(KEYS[6], 'set', 'SREM')
check_stand(KEYS[2], KEYS[5])
local is_pending = #redis.call('XPENDING', KEYS[2], ARGV[2], ARGV[4], ARGV[4], 1) > 0
if is_pending then
  redis.call('XADD', KEYS[8], '*', unpack(ARGV, 5))
  redis.call('XACK', KEYS[2], ARGV[2], ARGV[4])
end
redis.call('HDEL', KEYS[3], ARGV[4])
redis.call('HDEL', KEYS[4], ARGV[4])
redis.call('SREM', KEYS[6], ARGV[4])
if not is_pending then return 0 end
stand(KEYS[2], KEYS[5], ARGV[2], ARGV[3])
return 1
