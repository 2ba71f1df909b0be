-- Return the entry id of an endpoint's last event.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:heads, endpoint -> entry id of its last event
-- KEYS[3]  hash    {ns:P}:event-ids, event id -> entry id; counted -> entry up to which both count
-- KEYS[4]  string  {ns:P}:seal, the log that the partition moves to
-- ARGV[1]  endpoint
-- Reply    {"head", entry id}, "0-0" for none | {"sealed", entry id} where the log moves, or has
--          | {"behind", ""} other programs have added many entries: call again

-- include check_writes
-- include entry_id
-- include fields
-- include count_others

local state = redis.call('EXISTS', KEYS[4]) == 1 and 'sealed' or 'head'
local counted = redis.call('HGET', KEYS[3], 'counted')
if not count_others(KEYS[1], KEYS[2], KEYS[3], counted) then return {'behind', ''} end
return {state, redis.call('HGET', KEYS[2], ARGV[1]) or '0-0'}
