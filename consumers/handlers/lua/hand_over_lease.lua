-- Hand over the ownership of a partition, and wake the consumers that wait for it.
--
-- KEYS[1]  string              {ns:P}:lease:GROUP
-- KEYS[2]  stream of an entry  {ns:P}:handover:GROUP
-- ARGV[1]  holder
-- Reply    1 handed over, 0 the holder no longer had it

-- include check_writes
-- include lease

local owner = lease_in(redis.call('GET', KEYS[1]))
if not owner or string.match(owner, '^%d+ (.*)$') ~= ARGV[1] then return 0 end
check_writes(KEYS[1], 'string', 'DEL')
redis.call('XADD', KEYS[2], 'MAXLEN', 1, '*', 'from', owner)
redis.call('DEL', KEYS[1])
return 1
