-- Acknowledge entries, and forget the errors of their tries.
--
-- KEYS[1]  stream         {ns:P}:events
-- KEYS[2]  hash, bounded  {ns:P}:errors:GROUP
-- ARGV[1]  group
-- ARGV[2]  ... entry ids, some thousands at most
-- Reply    how many were pending

-- include check_writes

check_writes(KEYS[1], 'stream', 'XACK')
redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
return redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
