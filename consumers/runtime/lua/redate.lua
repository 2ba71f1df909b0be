-- Reset delivery times of pending entries that a backward clock step left in the future.
--
-- Such an entry would count as just delivered until the clock has caught up. Entries that really
-- were just delivered are not changed.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  group
-- ARGV[2]  where to begin, "-" or "(" and an entry id
-- ARGV[3]  entries to look at, at most
-- Reply    the id of the last entry looked at, nil if there are no more

local found = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], '+', ARGV[3])
for _, entry in ipairs(found) do
  -- A claim of a deleted entry would remove it from the pending entries unnoticed.
  if entry[3] == 0 and #redis.call('XRANGE', KEYS[1], entry[1], entry[1]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], entry[2], 0, entry[1], 'IDLE', 0, 'JUSTID')
  end
end
if #found < tonumber(ARGV[3]) then return nil end
return found[#found][1]
