-- Write the layout of a log as far as it is missing.
--
-- KEYS[1]  hash    ns:layout
-- ARGV[1]  number of partitions
-- ARGV[2]  identity
-- Reply    {number of partitions, identity} as they are now

-- include check_writes

check_writes(KEYS[1], 'hash', 'HMGET')
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
redis.call('HSETNX', KEYS[1], 'identity', ARGV[2])
return redis.call('HMGET', KEYS[1], 'partitions', 'identity')
