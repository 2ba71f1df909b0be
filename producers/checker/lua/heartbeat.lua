-- Record the heartbeat of a health checker, and return the checkers that live.
--
-- KEYS[1]  sorted set  ns:checkers, checker -> the server's clock at its last heartbeat, in ms
-- ARGV[1]  checker that sends the heartbeat
-- ARGV[2]  lifetime in ms; a checker without a heartbeat for longer is dead, and is removed
-- Reply    {checker, ...}, all that live, in the order of their last heartbeats

-- include check_writes

check_writes(KEYS[1], 'sorted set', 'ZREMRANGEBYSCORE', 'ZRANGE')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - ARGV[2]))
return redis.call('ZRANGE', KEYS[1], 0, -1)
