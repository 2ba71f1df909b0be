-- End entries that are done, for the owner of their partition, and keep the group's position.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[4]  hash    {ns:P}:errors:GROUP
-- KEYS[5]  hash    {ns:P}:positions, holder -> entry id
-- KEYS[6]  set     {ns:P}:hand:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  its holder
-- ARGV[4]  ... entry ids, some thousands at most
-- Reply    -1 if another owns, else how many were pending

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
redis.call('HDEL', KEYS[3], unpack(ARGV, 4))
redis.call('HDEL', KEYS[4], unpack(ARGV, 4))
redis.call('SREM', KEYS[6], unpack(ARGV, 4))
local ended = redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, 4))
-- In the same step: if the group is lost later, a handler's effects must not be repeated.
if ended > 0 then stand(KEYS[2], KEYS[5], ARGV[2], ARGV[3]) end
return ended
