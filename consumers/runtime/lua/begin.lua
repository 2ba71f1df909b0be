-- Create a group at its kept position, unless it exists.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:positions, holder -> entry id
-- KEYS[3]  string  {ns:P}:delivered:GROUP
-- ARGV[1]  group
-- ARGV[2]  its holder
-- ARGV[3]  entry id after which a group without a kept position begins
-- Reply    nil if the group exists, else the entry id after which it begins

-- include check_writes
-- include entry_id
-- include fields
-- include delivered

local COUNTED_MAX = 10000

check_writes(KEYS[2], 'hash', 'HSET')
check_writes(KEYS[3], 'string', 'SET')
local start = redis.call('HGET', KEYS[2], ARGV[2])
if not is_entry_id(start) then start = ARGV[3] end
local last, added, is_gapless = '0-0', 0, true
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if fields(group)['name'] == ARGV[1] then return nil end
  end
  local about = fields(redis.call('XINFO', 'STREAM', KEYS[1]))
  last, added = about['last-generated-id'], about['entries-added']
  is_gapless = about['max-deleted-entry-id'] == '0-0'
end
if is_beyond(start, last) then
  start = '0-0'  -- the kept position belongs to another history
end

local create = {'XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM'}
-- After the greatest id there is nothing, but Redis takes no interval that begins there.
local after = 0
if is_beyond(last, start) then
  after = #redis.call('XRANGE', KEYS[1], '(' .. start, '+', 'COUNT', COUNTED_MAX)
end
if is_gapless and after < COUNTED_MAX then
  -- With ENTRIESREAD Redis can tell the lag, and we the entries trimmed before they were read.
  create[#create + 1] = 'ENTRIESREAD'
  create[#create + 1] = added - after
end
redis.call(unpack(create))
-- Keep the position at once: a trim must know of the group even if it is lost right away.
redis.call('HSET', KEYS[2], ARGV[2], start)
record_delivered(KEYS[1], KEYS[3], ARGV[1])
return start
