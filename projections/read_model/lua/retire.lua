-- End a live generation whose documents are not those written, so that another is built.
--
-- KEYS[1]  string  {ns:P}:PROJECTION:live
-- KEYS[2]  hash    {ns:P}:PROJECTION:G, its documents
-- ARGV[1]  G, the generation to end
-- ARGV[2]  seconds for which its documents are kept for inspection
-- Reply    1 done, 0 G is not live

-- include check_writes

check_writes(KEYS[1], 'string', 'DEL')
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
