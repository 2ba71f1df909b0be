-- Let no pending entry seem to be delivered in time to come, where the server's clock was set back.
--
-- Such an entry would count as just delivered until the clock has caught up. One that really was
-- just delivered stays so.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  group
-- ARGV[2]  where to begin, "-" or "(" and an entry id
-- ARGV[3]  entries to look at, at most
-- Reply    the id of the last entry looked at, nil where that was all

local found = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], '+', ARGV[3])
for _, one in ipairs(found) do
  -- A claim of an entry that was deleted would take it away unseen.
  if one[3] == 0 and #redis.call('XRANGE', KEYS[1], one[1], one[1]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], one[2], 0, one[1], 'IDLE', 0, 'JUSTID')
  end
end
if #found < tonumber(ARGV[3]) then return nil end
return found[#found][1]
