-- Record the heartbeat of a health checker, and return the checkers that live.
--
-- A checker that is new takes the place of the one that has been dead for longest. What is left of
-- the dead says how many checkers lack.
--
-- KEYS[1]  sorted set  ns:checkers, checker -> the server's clock at its last heartbeat, in ms
-- ARGV[1]  checker that sends the heartbeat
-- ARGV[2]  lifetime in ms; a checker without a heartbeat for longer is dead
-- ARGV[3]  ms after which the living forget a dead checker
-- Reply    {checker, ...}, all that live, in the order of their last heartbeats

-- include check_writes

check_writes(KEYS[1], 'sorted set', 'ZREM', 'ZREMRANGEBYSCORE', 'ZRANGE')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive_from = string.format('%.0f', now - tonumber(ARGV[2]))
local known_from = string.format('%.0f', now - tonumber(ARGV[3]))
local void_from = string.format('%.0f', now + tonumber(ARGV[2]))
local is_new = redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1]) == 1
-- A sign from the future is one from before the clock was set back: it says nothing.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. void_from, '+inf')
if is_new then
  local dead = redis.call('ZRANGE', KEYS[1], '-inf', '(' .. alive_from, 'BYSCORE', 'LIMIT', 0, 1)
  if dead[1] then redis.call('ZREM', KEYS[1], dead[1]) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. known_from)
return redis.call('ZRANGE', KEYS[1], alive_from, '+inf', 'BYSCORE')
