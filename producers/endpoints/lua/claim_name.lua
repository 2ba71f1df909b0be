-- Give a name to an endpoint, unless another has it.
--
-- KEYS[1]  hash  ns:names, name -> the endpoint and when it claimed it, "ID MS" of the server's clock
-- ARGV[1]  name
-- ARGV[2]  endpoint
-- ARGV[3]  endpoint from which it may be taken, "" for none
-- Reply    {} it is claimed | {the endpoint that has it, ms since it claimed it}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, at = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^([%x-]+) (%d+)$')
if holder and holder ~= ARGV[2] and holder ~= ARGV[3] then
  return {holder, now - tonumber(at)}
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', now))
return {}
