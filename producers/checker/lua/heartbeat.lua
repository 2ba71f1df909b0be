-- Give a sign of life as a health checker, and say which checkers live.
--
-- KEYS[1]  sorted set  ns:checkers, checker -> the server's clock at its last sign, in ms
-- ARGV[1]  checker, the one that gives a sign
-- ARGV[2]  lifetime in ms; who has given no sign for longer is dead and removed
-- Reply    {checker, ...}, all that live, in the order of their last signs

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - ARGV[2]))
return redis.call('ZRANGE', KEYS[1], 0, -1)
