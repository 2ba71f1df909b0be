-- Acknowledge entries, forget the errors of their tries, and keep the group's position.
--
-- KEYS[1]  stream         {ns:P}:events
-- KEYS[2]  hash, bounded  {ns:P}:errors:GROUP
-- KEYS[3]  hash           {ns:P}:positions, holder -> entry id
-- ARGV[1]  group
-- ARGV[2]  its holder
-- ARGV[3]  ... entry ids, some thousands at most
-- Reply    how many were pending

-- include before
-- include check_writes
-- include entry_id
-- include fields
-- include stand

check_writes(KEYS[1], 'stream', 'XACK')
check_stand(KEYS[1], KEYS[3])
redis.call('HDEL', KEYS[2], unpack(ARGV, 3))
local ended = redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 3))
if ended > 0 then stand(KEYS[1], KEYS[3], ARGV[1], ARGV[2]) end
return ended
