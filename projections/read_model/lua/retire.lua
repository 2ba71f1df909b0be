-- Take the live generation away, for another to be built: its documents are not what was written.
--
-- KEYS[1]  string  {ns:P}:PROJECTION:live
-- KEYS[2]  hash    {ns:P}:PROJECTION:G, its documents
-- ARGV[1]  G, the generation to take away
-- ARGV[2]  seconds for which its documents are still there to be looked at
-- Reply    1 done, 0 another one is live

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
