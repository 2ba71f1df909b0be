-- Make a generation the live one, if the live one is still what the caller saw.
--
-- KEYS[1]  string  {ns:P}:PROJECTION:live
-- KEYS[2]  stream  {ns:P}:PROJECTION:changes, the change feed
-- KEYS[3]  hash    {ns:P}:generations, fields PROJECTION:changes -> id of the feed's last entry,
--                  PROJECTION:documents -> how many documents the live generation has
-- KEYS[4]  hash    {ns:P}:PROJECTION:G, the documents of the generation to become live
-- ARGV[1]  the live generation that the caller saw, "" for none
-- ARGV[2]  the generation to become live
-- ARGV[3]  PROJECTION
-- ARGV[4]  entries that the change feed keeps
-- ARGV[5]  the change feed's last entry that the caller saw ("" for none), "*" for any
-- Reply    1 done, 0 another one went live meanwhile, or was live and is gone again

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
local field = ARGV[3] .. ':changes'
local previous = redis.call('HGET', KEYS[3], field) or ''
if ARGV[5] ~= '*' and ARGV[5] ~= previous then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*',
  'previous', previous, 'generation', ARGV[2], 'changes', '')
redis.call('HSET', KEYS[3], field, id, ARGV[3] .. ':documents', redis.call('HLEN', KEYS[4]))
return 1
