-- Move an entry to its group's dead letters, for the owner of its partition.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[4]  hash    {ns:P}:errors:GROUP
-- KEYS[5]  stream  {ns:P}:dead:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  entry id
-- ARGV[4]  ... fields and values of the dead letter, some thousands at most
-- Reply    -1 where another owns, 0 where the entry was not pending any more, else 1

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('HDEL', KEYS[3], ARGV[3])
redis.call('HDEL', KEYS[4], ARGV[3])
if redis.call('XACK', KEYS[2], ARGV[2], ARGV[3]) == 0 then return 0 end
redis.call('XADD', KEYS[5], '*', unpack(ARGV, 4))
return 1
