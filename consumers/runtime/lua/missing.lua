-- Tell which of some entries are not in a stream.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  ... entry ids, some thousands at most
-- Reply    those that are not there

local missing = {}
for _, id in ipairs(ARGV) do
  if #redis.call('XRANGE', KEYS[1], id, id) == 0 then missing[#missing + 1] = id end
end
return missing
