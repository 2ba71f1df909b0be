-- Move a group to another position, if it has not moved since that was decided.
--
-- KEYS[1]  stream           {ns:P}:events
-- KEYS[2]  hash             {ns:P}:positions, holder -> entry id
-- KEYS[3]  stream, bounded  {ns:P}:operations
-- KEYS[4]  string           {ns:P}:delivered:GROUP
-- ARGV[1]  group
-- ARGV[2]  its holder
-- ARGV[3]  the id from which on it is to read
-- ARGV[4]  the id that was delivered last when that was decided
-- ARGV[5]  a consumer heard of within so many ms is active; 0 takes none for active
-- ARGV[6]  a consumer that never counts
-- ARGV[7]  operations that are kept, about; then fields and values of the operation
-- Reply    {"done", the id now delivered last} | {"missing"} | {"moved", id} | {"active", name, ...}

-- include check_writes
-- include entry_id
-- include fields
-- include delivered

local COUNTED_MAX = 10000
local END = '18446744073709551615-18446744073709551615'  -- after it, even if it is an entry

check_writes(KEYS[2], 'hash', 'HGET', 'HSET')
check_writes(KEYS[3], 'stream', 'XADD')
check_writes(KEYS[4], 'string', 'SET')
local group
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if fields(flat)['name'] == ARGV[1] then group = fields(flat) end
  end
end
if not group then return {'missing'} end
local before = group['last-delivered-id']
if before ~= ARGV[4] then return {'moved', before} end

local active = {'active'}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = fields(flat)
  if consumer['idle'] < tonumber(ARGV[5]) and consumer['name'] ~= ARGV[6] then
    active[#active + 1] = consumer['name']
  end
end
if #active > 1 then return active end

local stream = fields(redis.call('XINFO', 'STREAM', KEYS[1]))
local added, length, last = stream['entries-added'], stream['length'], stream['last-generated-id']
local to, read = '0-0', added - length
if is_beyond(ARGV[3], last) or ARGV[3] == END then
  to, read = last, added
elseif ARGV[3] ~= '0-0' then
  local previous = redis.call('XREVRANGE', KEYS[1], '(' .. ARGV[3], '-', 'COUNT', 1)[1]
  if previous then
    to = previous[1]
    local after = #redis.call('XRANGE', KEYS[1], '(' .. to, '+', 'COUNT', COUNTED_MAX)
    read = after < COUNTED_MAX and added - after or nil
  end
end

local move = {'XGROUP', 'SETID', KEYS[1], ARGV[1], to}
if read and stream['max-deleted-entry-id'] == '0-0' then
  -- With ENTRIESREAD Redis can tell the lag, and we the entries trimmed before they were read.
  move[#move + 1] = 'ENTRIESREAD'
  move[#move + 1] = read
end
redis.call(unpack(move))
record_delivered(KEYS[1], KEYS[4], ARGV[1])

local kept = redis.call('HGET', KEYS[2], ARGV[2])
if is_entry_id(kept) and (is_beyond(kept, to) or group['pending'] == 0) then
  redis.call('HSET', KEYS[2], ARGV[2], to)
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*',
  'before', before, 'after', to, unpack(ARGV, 8))
return {'done', to}
