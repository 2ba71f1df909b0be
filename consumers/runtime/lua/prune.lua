-- Remove the consumers of a group that have nothing pending and have not been seen for long.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  group
-- ARGV[2]  the idle time from which a consumer is removed, in ms
-- Reply    the names of those that were removed

-- include fields

local removed = {}
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = fields(consumer)
  if about['pending'] == 0 and about['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about['name'])
    removed[#removed + 1] = about['name']
  end
end
return removed
