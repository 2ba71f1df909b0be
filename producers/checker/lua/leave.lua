-- Let a health checker leave, so that the others take over at once.
--
-- The last one stays as a dead one: that nobody probes is then seen, and for how long.
--
-- KEYS[1]  sorted set  ns:checkers, checker -> the server's clock at its last heartbeat, in ms
-- ARGV[1]  checker that leaves
-- ARGV[2]  lifetime in ms; a checker without a heartbeat for longer is dead
-- Reply    1 where others are left, 0 where it was the last

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dead_at = string.format('%.0f', now - tonumber(ARGV[2]) - 1)
local others = redis.call('ZCARD', KEYS[1]) > 1
if others then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], dead_at, ARGV[1])
end
return others and 1 or 0
