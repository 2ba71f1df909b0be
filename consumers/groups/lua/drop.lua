-- Delete dead letters for good.
--
-- KEYS[1]  stream           {ns:P}:dead:GROUP
-- KEYS[2]  stream, bounded  {ns:P}:operations
-- ARGV[1]  number of dead letters; then their ids
-- then     operations that are kept, about; fields and values of the operation
-- Reply    how many still existed

-- include check_writes

check_writes(KEYS[2], 'stream', 'XADD')
local ids = tonumber(ARGV[1])
local dropped = redis.call('XDEL', KEYS[1], unpack(ARGV, 2, 1 + ids))
if dropped > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2 + ids], '*',
    'before', dropped .. ' dead, ' .. ARGV[2] .. ' to ' .. ARGV[1 + ids], 'after', 'gone',
    unpack(ARGV, 3 + ids))
end
return dropped
