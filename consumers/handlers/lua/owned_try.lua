-- Note how far the tries of entries have come, for the owner of their partition.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[4]  hash    {ns:P}:errors:GROUP
-- KEYS[5]  hash    {ns:P}:positions
-- KEYS[6]  set     {ns:P}:hand:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  consumer
-- ARGV[4]  ... for each entry: its id; tries begun, its deliveries, too; failures; how long until the
--          next try, in ms; the error, "" if it did not fail
-- Reply    -1 if another owns, else for each entry 0 if it is no longer pending, else 1

-- include check_writes
-- include entry_id
-- include errors
-- include trimmed

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[3], 'hash', 'HDEL', 'HSET')
check_writes(KEYS[4], 'hash', 'HDEL', 'HSET', 'HEXISTS', 'UNLINK')
check_writes(KEYS[6], 'set', 'SREM')
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local first

-- Return whether the entry is still pending, with the consumer that owns it.
local function is_pending(id, begun)
  first = first or first_entry(KEYS[2])
  if is_trimmed(id, first) then
    return #redis.call('XPENDING', KEYS[2], ARGV[2], id, id, 1) > 0
  end
  return #redis.call(
    'XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, id, 'IDLE', 0, 'RETRYCOUNT', begun, 'JUSTID'
  ) > 0
end

local reply = {}
for at = 4, #ARGV, 5 do
  local id, begun, failures, waits_ms, failed = unpack(ARGV, at, at + 4)
  if is_pending(id, begun) then
    local noted = {begun, failures, string.format('%d', now_ms + waits_ms), waits_ms}
    redis.call('HSET', KEYS[3], id, table.concat(noted, ' '))
    if failed ~= '' then keep_error(KEYS[4], id, failed) end
    reply[#reply + 1] = 1
  else
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[4], id)
    redis.call('SREM', KEYS[6], id)
    reply[#reply + 1] = 0
  end
end
return reply
