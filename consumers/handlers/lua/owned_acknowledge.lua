-- End entries that are done, for the owner of their partition.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[4]  hash    {ns:P}:errors:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  ... entry ids, some thousands at most
-- Reply    -1 where another owns, else how many were pending

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('HDEL', KEYS[3], unpack(ARGV, 3))
redis.call('HDEL', KEYS[4], unpack(ARGV, 3))
return redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, 3))
