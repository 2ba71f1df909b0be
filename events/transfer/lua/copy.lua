-- Add entries as they were elsewhere: any fields, their own ids or new ones.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:heads, endpoint -> entry id of its last event
-- KEYS[3]  hash    {ns:P}:event-ids, event id -> entry id; counted -> entry up to which both count
-- KEYS[4]  string  {ns:P}:seal, the log that the partition moves to
-- KEYS[5]  hash    {ns:P}:copied, partition of the source -> its last entry that is here
-- ARGV[1]  the id that must be the last one the stream ever had ("0-0": none), or "" for any
-- ARGV[2]  number of entries
-- ARGV[3]  number of partitions for KEYS[5]; then for each: partition, entry id
-- then     for each entry: id or "*", endpoint or "", event id or "", number of strings, field,
--          value, ...
-- Reply    {"copied", last id}, also where KEYS[5] says that all of it is there
--          | {"moved", last id}: nothing was added

-- include check_writes
-- include entry_id
-- include fields
-- include count_others

local STRINGS_FROM = 4

local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  last = fields(redis.call('XINFO', 'STREAM', KEYS[1]))['last-generated-id']
end
local ENTRIES_FROM = 4 + 2 * tonumber(ARGV[3])
local are_there = ENTRIES_FROM > 4
for at = 4, ENTRIES_FROM - 1, 2 do
  are_there = are_there and redis.call('HGET', KEYS[5], ARGV[at]) == ARGV[at + 1]
end
if are_there then return {'copied', last} end

if ARGV[1] ~= '' and last ~= ARGV[1] then
  return {'moved', last}
end

if redis.call('EXISTS', KEYS[4]) == 1 then
  error({err = 'ERR the log moves, or has moved: nothing can be added to ' .. KEYS[1]})
end

local at = ENTRIES_FROM
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
check_writes(KEYS[5], 'hash', 'HSET')
check_rights(KEYS[1], 'XADD')
local counted = redis.call('HGET', KEYS[3], 'counted')
counted = count_others(KEYS[1], KEYS[2], KEYS[3], counted)

at = ENTRIES_FROM
for _ = 1, tonumber(ARGV[2]) do
  local endpoint, event_id, strings = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local from = at + STRINGS_FROM
  last = redis.call('XADD', KEYS[1], ARGV[at], unpack(ARGV, from, from + strings - 1))
  if endpoint ~= '' then redis.call('HSET', KEYS[2], endpoint, last) end
  if event_id ~= '' then redis.call('HSETNX', KEYS[3], event_id, last) end
  at = from + strings
end
if ENTRIES_FROM > 4 then
  redis.call('HSET', KEYS[5], unpack(ARGV, 4, ENTRIES_FROM - 1))
end
-- Where others have added more than was counted now, what is copied is counted with it later.
if counted then redis.call('HSET', KEYS[3], 'counted', last) end
return {'copied', last}
