-- Remove a group and all that is kept for it except dead letters, unless a consumer is active.
--
-- KEYS[1]  stream           {ns:P}:events
-- KEYS[2]  hash             {ns:P}:positions, holder -> entry id
-- KEYS[3]  hash             {ns:P}:lost, group -> entries it ever lost
-- KEYS[4]  stream, bounded  {ns:P}:operations
-- KEYS[5]  hash             {ns:P}:snapshots, read model and process, a line each -> what it can read
-- KEYS[6]  ... all else that is kept for the group
-- ARGV[1]  group
-- ARGV[2]  its holder
-- ARGV[3]  the holder of its read model's snapshots, which goes with it; '' for none
-- ARGV[4]  a consumer heard of within so many ms is active; 0 takes none for active
-- ARGV[5]  a consumer that never counts
-- ARGV[6]  operations that are kept, about; then fields and values of the operation
-- Reply    {"done", entries that were pending} | {"missing"} | {"active", name, ...}

-- include check_writes
-- include fields

check_writes(KEYS[2], 'hash', 'HDEL')
check_writes(KEYS[3], 'hash', 'HDEL')
check_writes(KEYS[4], 'stream', 'XADD', 'DEL')
check_writes(KEYS[5], 'hash', 'HKEYS', 'HDEL')
local group
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if fields(flat)['name'] == ARGV[1] then group = fields(flat) end
  end
end
local kept = redis.call('HGET', KEYS[2], ARGV[2]) or redis.call('HGET', KEYS[2], ARGV[3])
if not group and not kept then return {'missing'} end

local active, pending, stood = {'active'}, 0, kept
if group then
  pending, stood = group['pending'], group['last-delivered-id']
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = fields(flat)
    if consumer['idle'] < tonumber(ARGV[4]) and consumer['name'] ~= ARGV[5] then
      active[#active + 1] = consumer['name']
    end
  end
  if #active > 1 then return active end
  redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
end
redis.call('HDEL', KEYS[2], ARGV[2], ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[1])
for _, field in ipairs(ARGV[3] == '' and {} or redis.call('HKEYS', KEYS[5])) do
  if string.match(field, '^[^\n]*') == ARGV[1] then redis.call('HDEL', KEYS[5], field) end
end
redis.call('DEL', unpack(KEYS, 6))
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[6], '*',
  'before', stood .. ', ' .. pending .. ' pending', 'after', 'removed', unpack(ARGV, 7))
return {'done', pending}
