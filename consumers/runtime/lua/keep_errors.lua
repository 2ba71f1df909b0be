-- Keep the errors of the tries of entries that are still pending.
--
-- KEYS[1]  stream         {ns:P}:events
-- KEYS[2]  hash, bounded  {ns:P}:errors:GROUP
-- ARGV[1]  group
-- ARGV[2]  ... entry id, error, some thousands at most
-- Reply    nothing

-- include check_writes
-- include errors

check_writes(KEYS[2], 'hash', 'HSET', 'UNLINK')
for at = 2, #ARGV, 2 do
  local id = ARGV[at]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0 then
    keep_error(KEYS[2], id, ARGV[at + 1])
  end
end
