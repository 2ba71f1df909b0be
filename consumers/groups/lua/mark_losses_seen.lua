-- Note that an operator has seen a group's losses, and who it was and why.
--
-- KEYS[1]  hash             {ns:P}:losses-seen:GROUP, entries and last
-- KEYS[2]  stream, bounded  {ns:P}:operations
-- ARGV[1]  entries that the group had lost in all when the operator looked
-- ARGV[2]  the id of the newest loss that the operator has seen
-- ARGV[3]  operations that are kept, about; then fields and values of the operation
-- Reply    entries that had not been seen before

-- include check_writes

check_writes(KEYS[1], 'hash', 'HGET', 'HSET')
check_writes(KEYS[2], 'stream', 'XADD')
local before = tonumber(redis.call('HGET', KEYS[1], 'entries') or '0') or 0
local unseen = math.max(0, tonumber(ARGV[1]) - before)
redis.call('HSET', KEYS[1], 'entries', ARGV[1], 'last', ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*',
  'before', string.format('%d', unseen) .. ' lost, unseen', 'after', 'seen', unpack(ARGV, 4))
return unseen
