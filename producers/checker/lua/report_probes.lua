-- Note when routes were last probed, and return some that nobody has probed for long.
--
-- KEYS[1]  sorted set  {ns:P}:probed, ENDPOINT:ROUTE -> the server's clock at the last probe, in ms
-- ARGV[1]  ms without a probe after which a route is returned
-- ARGV[2]  how many routes are returned at most
-- ARGV[3], ARGV[4], ...  ENDPOINT:ROUTE and how many ms ago its last probe ended, for each route
-- Reply    {ENDPOINT:ROUTE, ...}, those without a probe for longest first

-- include check_writes

check_writes(KEYS[1], 'sorted set', 'ZRANGE')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local old = string.format('%.0f', now - tonumber(ARGV[1]))
local most = tonumber(ARGV[2])
local signs = {}
for place = 3, #ARGV, 2 do
  signs[#signs + 1] = {string.format('%.0f', now - tonumber(ARGV[place + 1])), ARGV[place]}
end
for _, sign in ipairs(signs) do
  redis.call('ZADD', KEYS[1], sign[1], sign[2])
end
return redis.call('ZRANGE', KEYS[1], '-inf', '(' .. old, 'BYSCORE', 'LIMIT', 0, most)
