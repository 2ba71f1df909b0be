-- Take the live generation away, for another to be built: its documents are not what was written.
--
-- KEYS[1]  string  {ns:P}:PROJECTION:live
-- ARGV[1]  the generation to take away
-- Reply    1 done, 0 another one is live

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
