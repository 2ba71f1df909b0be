local ERRORS_MAX = 10000

-- Keep the error of a pending entry; beyond so many all are kept anew.
local function keep_error(key, id, error)
  if redis.call('HLEN', key) >= ERRORS_MAX and redis.call('HEXISTS', key, id) == 0 then
    redis.call('UNLINK', key)
  end
  redis.call('HSET', key, id, error)
end
