-- Add entries as they were elsewhere: any fields, their own ids or new ones.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:heads, endpoint -> entry id of its last event
-- KEYS[3]  hash    {ns:P}:event-ids, event id -> entry id; counted -> entry up to which both count
-- KEYS[4]  hash    {ns:P}:copied, partition of the source -> its last entry that is here
-- ARGV[1]  the id that must be the last one the stream ever had ("0-0": none), or "" for any
-- ARGV[2]  number of entries; then for each: id or "*", endpoint or "", event id or "", number of
--          strings, field, value, ...
-- then     partitions and entry ids for KEYS[4]
-- Reply    {"copied", last id} | {"moved", last id}: nothing was added

-- include check_writes
-- include entry_id
-- include fields
-- include count_others

local STRINGS_FROM = 4

local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  last = fields(redis.call('XINFO', 'STREAM', KEYS[1]))['last-generated-id']
end
if ARGV[1] ~= '' and last ~= ARGV[1] then
  return {'moved', last}
end

local at = 3
for _ = 1, tonumber(ARGV[2]) do
  if ARGV[at] ~= '*' then
    if not is_beyond(ARGV[at], last) then
      error({err = 'ERR entry id ' .. ARGV[at] .. ' does not come after ' .. last})
    end
    last = ARGV[at]
  end
  at = at + STRINGS_FROM + tonumber(ARGV[at + 3])
end

check_writes(KEYS[2], 'hash', 'HSET')
check_writes(KEYS[3], 'hash', 'HSETNX', 'HSET')
check_writes(KEYS[4], 'hash', 'HSET')
check_rights(KEYS[1], 'XADD')
local counted = redis.call('HGET', KEYS[3], 'counted')
counted = count_others(KEYS[1], KEYS[2], KEYS[3], counted)

at = 3
for _ = 1, tonumber(ARGV[2]) do
  local endpoint, event_id, strings = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local from = at + STRINGS_FROM
  last = redis.call('XADD', KEYS[1], ARGV[at], unpack(ARGV, from, from + strings - 1))
  if endpoint ~= '' then redis.call('HSET', KEYS[2], endpoint, last) end
  if event_id ~= '' then redis.call('HSETNX', KEYS[3], event_id, last) end
  at = from + strings
end
if at < #ARGV then redis.call('HSET', KEYS[4], unpack(ARGV, at)) end
-- Where others have added more than was counted now, what is copied is counted with it later.
if counted then redis.call('HSET', KEYS[3], 'counted', last) end
return {'copied', last}
