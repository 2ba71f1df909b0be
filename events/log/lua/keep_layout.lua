-- Write the layout of a log as far as it is missing.
--
-- KEYS[1]  hash    ns:layout
-- ARGV[1]  number of partitions
-- ARGV[2]  identity
-- ARGV[3]  identity of the log that a new log is to be a copy of, "" for none
-- Reply    {number of partitions, identity} as they are now

-- include check_writes

check_writes(KEYS[1], 'hash', 'HMGET', 'HSET')
local is_new = redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1]) == 1
redis.call('HSETNX', KEYS[1], 'identity', ARGV[2])
if is_new and ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'copy-of', ARGV[3]) end
return redis.call('HMGET', KEYS[1], 'partitions', 'identity')
