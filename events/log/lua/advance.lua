-- Raise the position of a holder; a lower position than the present one changes nothing.
--
-- KEYS[1]  hash    {ns:P}:positions, holder -> entry id
-- ARGV[1]  holder
-- ARGV[2]  entry id
-- Reply    1 raised, 0 it was at least as high

-- include entry_id

local before = redis.call('HGET', KEYS[1], ARGV[1])
if before and not is_beyond(ARGV[2], before) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
