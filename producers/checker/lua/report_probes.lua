-- Note when routes were last probed, and how that ended, and return some that nobody has probed for long.
--
-- KEYS[1]  sorted set  {ns:P}:probed, ENDPOINT:ROUTE -> the server's clock at the last probe, in ms
-- KEYS[2]  hash, expires  {ns:P}:probe-results, ENDPOINT:ROUTE -> how its last probe ended
-- ARGV[1]  ms without a probe after which a route is returned
-- ARGV[2]  how many routes are returned at most
-- ARGV[3]  ms without a report after which the results expire
-- ARGV[4], ARGV[5], ARGV[6], ...  for each route ENDPOINT:ROUTE, how many ms ago its last probe
--          ended, and how, as JSON; '' where that is not known
-- Reply    {ENDPOINT:ROUTE, ...}, those without a probe for longest first

-- include check_writes

check_writes(KEYS[1], 'sorted set', 'ZRANGE')
check_writes(KEYS[2], 'hash', 'HSET', 'PEXPIRE')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local old = string.format('%.0f', now - tonumber(ARGV[1]))
local most = tonumber(ARGV[2])
local signs = {}
for place = 4, #ARGV, 3 do
  local at = string.format('%.0f', now - tonumber(ARGV[place + 1]))
  signs[#signs + 1] = {at, ARGV[place], ARGV[place + 2]}
end
for _, sign in ipairs(signs) do
  redis.call('ZADD', KEYS[1], sign[1], sign[2])
  if sign[3] ~= '' then redis.call('HSET', KEYS[2], sign[2], sign[3]) end
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('ZRANGE', KEYS[1], '-inf', '(' .. old, 'BYSCORE', 'LIMIT', 0, most)
