-- Take the ownership of a partition if it is free; refresh the idle time of the consumer.
--
-- KEYS[1]  string  {ns:P}:lease:GROUP, "TOKEN HOLDER MS"
-- KEYS[2]  string  {ns:P}:fence:GROUP
-- KEYS[3]  stream  {ns:P}:handover:GROUP
-- KEYS[4]  stream  {ns:P}:events
-- ARGV[1]  holder
-- ARGV[2]  how long the lease holds, in ms
-- ARGV[3]  group
-- ARGV[4]  consumer
-- Reply    {owner}: "TOKEN HOLDER"; or {nil, ms that the other's lease holds, id of the last
--          handover}

-- include check_writes
-- include lease
-- include touch_consumer

local owner, asked_ms = lease_in(redis.call('GET', KEYS[1]))
local left_ms = redis.call('PTTL', KEYS[1])
-- A lease always expires: a value that does not is none.
if left_ms < 0 then owner = false end
if owner and string.match(owner, '^%d+ (.*)$') ~= ARGV[1] then
  local handed = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
  asked_ms = asked_ms or tonumber(ARGV[2])
  check_writes(KEYS[1], 'string', 'PEXPIRE')
  touch_consumer(KEYS[4], ARGV[3], ARGV[4])
  if left_ms > asked_ms then
    -- The server's clock was set back: the lease would outlive its owner by as much.
    redis.call('PEXPIRE', KEYS[1], asked_ms)
    left_ms = asked_ms
  end
  return {false, left_ms, handed[1] and handed[1][1] or '0-0'}
end

check_writes(KEYS[1], 'string', 'SET')
check_writes(KEYS[2], 'string', 'SET')
touch_consumer(KEYS[4], ARGV[3], ARGV[4])
if not owner then
  local last = redis.call('GET', KEYS[2])
  local token = last and tonumber(string.match(last, '^%d+')) or 0
  owner = string.format('%d', token + 1) .. ' ' .. ARGV[1]
  redis.call('SET', KEYS[2], owner)
end
redis.call('SET', KEYS[1], owner .. ' ' .. ARGV[2], 'PX', ARGV[2])
return {owner}
