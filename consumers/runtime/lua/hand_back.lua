-- Make the entries pending with a consumer idle, so that others of its group claim them at once.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  idle time to set, in ms
-- ARGV[4]  where to begin, "-" or "(" and an entry id
-- ARGV[5]  entries to look at, at most
-- Reply    the entry ids that were handed back; their deliveries are as they were

local ids = {}
for _, one in ipairs(
  redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[4], '+', ARGV[5], ARGV[2])
) do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, one[1], 'IDLE', ARGV[3], 'JUSTID')
  ids[#ids + 1] = one[1]
end
return ids
