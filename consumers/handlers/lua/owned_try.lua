-- Note how far the tries of an entry have come, for the owner of its partition.
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
-- ARGV[4]  entry id
-- ARGV[5]  tries begun; its deliveries, too
-- ARGV[6]  failures
-- ARGV[7]  how long until the next try, in ms
-- ARGV[8]  the error, "" if it did not fail
-- Reply    -1 if another owns, 0 if the entry is no longer pending, else 1

-- include check_writes
-- include entry_id
-- include errors
-- include trimmed

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[3], 'hash', 'HDEL', 'HSET')
check_writes(KEYS[4], 'hash', 'HDEL', 'HSET', 'HEXISTS', 'UNLINK')
check_writes(KEYS[6], 'set', 'SREM')
local time = redis.call('TIME')
local found
if is_trimmed(ARGV[4], first_entry(KEYS[2])) then
  found = redis.call('XPENDING', KEYS[2], ARGV[2], ARGV[4], ARGV[4], 1)
else
  found = redis.call(
    'XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, ARGV[4], 'IDLE', 0, 'RETRYCOUNT', ARGV[5], 'JUSTID'
  )
end
if #found == 0 then
  redis.call('HDEL', KEYS[3], ARGV[4])
  redis.call('HDEL', KEYS[4], ARGV[4])
  redis.call('SREM', KEYS[6], ARGV[4])
  return 0
end
local due_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[7]
local noted = {ARGV[5], ARGV[6], string.format('%d', due_ms), ARGV[7]}
redis.call('HSET', KEYS[3], ARGV[4], table.concat(noted, ' '))
if ARGV[8] ~= '' then keep_error(KEYS[4], ARGV[4], ARGV[8]) end
return 1
