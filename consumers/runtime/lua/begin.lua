-- Create a group where it stood before it was lost, unless it is there.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:positions, holder -> entry id
-- ARGV[1]  group
-- ARGV[2]  its holder
-- ARGV[3]  entry id behind which a group begins that never stood anywhere
-- Reply    nil where the group is there, else the entry id behind which it begins

-- include entry_id
-- include fields

local COUNTED_MAX = 10000

local start = redis.call('HGET', KEYS[2], ARGV[2]) or ARGV[3]
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
  start = '0-0'  -- this is another history than the one in which it stood there
end

local create = {'XGROUP', 'CREATE', KEYS[1], ARGV[1], start, 'MKSTREAM'}
local after = #redis.call('XRANGE', KEYS[1], '(' .. start, '+', 'COUNT', COUNTED_MAX)
if is_gapless and after < COUNTED_MAX then
  -- With it Redis can tell the group's lag, and we what was trimmed before the group had read it.
  create[#create + 1] = 'ENTRIESREAD'
  create[#create + 1] = added - after
end
redis.call(unpack(create))
-- Kept from the first moment on: a trim has to know of the group also when it is lost at once.
redis.call('HSET', KEYS[2], ARGV[2], start)
return start
