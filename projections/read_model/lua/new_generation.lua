-- Give out the number of a new generation: the server's time in microseconds, which no earlier
-- generation had, even if the numbers given out before are forgotten.
--
-- KEYS[1]  hash  {ns:P}:generations, PROJECTION -> the highest number ever given out
-- ARGV[1]  PROJECTION
-- Reply    the number

local time = redis.call('TIME')
local number = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') or 0
if number <= last then
  number = last + 1
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', number))
return number
