local ERRORS_MAX = 10000

-- Keep the error of a pending entry; at the limit all older ones are dropped.
local function keep_error(key, id, error)
  if redis.call('HLEN', key) >= ERRORS_MAX and redis.call('HEXISTS', key, id) == 0 then
    redis.call('UNLINK', key)
  end
  redis.call('HSET', key, id, error)
end
