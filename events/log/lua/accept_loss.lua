-- Go on in a partition without what is missing of its history.
--
-- KEYS[1]  hash    {ns:P}:identity
-- KEYS[2]  hash    {ns:P}:positions, holder -> entry id
-- KEYS[3]  stream  {ns:P}:events
-- ARGV[1]  identity of the log that the partition belongs to from now on
-- ARGV[2]  what marks the decision; it differs from every earlier one
-- Reply    the holders whose position, after the stream's end, was taken away

-- include check_writes
-- include entry_id
-- include fields

check_writes(KEYS[1], 'hash', 'HSET', 'HDEL')
check_writes(KEYS[2], 'hash', 'HDEL')
local last = '0-0'
if redis.call('EXISTS', KEYS[3]) == 1 then
  last = fields(redis.call('XINFO', 'STREAM', KEYS[3]))['last-generated-id']
end

local taken = {}
for holder, position in pairs(fields(redis.call('HGETALL', KEYS[2]))) do
  if is_beyond(position, last) then
    redis.call('HDEL', KEYS[2], holder)
    taken[#taken + 1] = holder
  end
end
for name in pairs(fields(redis.call('HGETALL', KEYS[1]))) do
  if string.sub(name, 1, 8) == 'missing:' then redis.call('HDEL', KEYS[1], name) end
end
redis.call('HSET', KEYS[1], 'identity', ARGV[1], 'accepted', ARGV[2])
return taken
