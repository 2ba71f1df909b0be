-- Append events to one partition, all or none. One whose id the log has is answered with its entry.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:heads, endpoint -> entry id of its last event
-- KEYS[3]  hash    {ns:P}:event-ids, event id -> entry id; counted -> entry up to which both count
-- KEYS[4]  string  {ns:P}:seal, the log that the partition moves to
-- ARGV[1]  the head that the first event's endpoint must have ("0-0": none), or "" for any
-- ARGV[2]  source
-- ARGV[3]  metadata, "" for none
-- ARGV[4]  number of events; then for each: endpoint, event id, name, version, payload
-- Reply    {"appended", id, ...}, also where some or all were there | {"conflict", head}
--          | {"sealed"} the log moves, and has not all of them
--          | {"taken", event id, entry id} it is the id of another event
--          | {"behind"} other programs have added many entries: call again

-- include check_writes
-- include entry_id
-- include fields
-- include count_others

local STRINGS = 5
local events = tonumber(ARGV[4])

local is_sealed = redis.call('EXISTS', KEYS[4]) == 1
local asked = {}
for place = 1, events do asked[place] = ARGV[STRINGS * place + 1] end
asked[events + 1] = 'counted'
local known = redis.call('HMGET', KEYS[3], unpack(asked))
local counted = count_others(KEYS[1], KEYS[2], KEYS[3], known[events + 1])
if not counted then return {'behind'} end
if counted ~= known[events + 1] then known = redis.call('HMGET', KEYS[3], unpack(asked)) end

-- Return the entry of an event, nil if the log no longer has it.
local function entry_of(event_id, entry_id)
  local found = is_entry_id(entry_id) and redis.call('XRANGE', KEYS[1], entry_id, entry_id)[1]
  local entry = found and fields(found[2])
  return entry and entry['id'] == event_id and entry
end

local reply, new = {'appended'}, {}
for place = 1, events do
  local at = STRINGS * place
  local entry = known[place] and entry_of(ARGV[at + 1], known[place])
  if not entry then
    new[#new + 1] = place
  elseif entry['name'] == ARGV[at + 2] and string.find(entry['payload'], ARGV[at], 1, true) then
    reply[place + 1] = known[place]
  else
    return {'taken', ARGV[at + 1], known[place]}
  end
end

if is_sealed and #new > 0 then return {'sealed'} end

if ARGV[1] ~= '' and #new > 0 then
  local head = redis.call('HGET', KEYS[2], ARGV[5]) or '0-0'
  if head ~= ARGV[1] then return {'conflict', head} end
end

check_writes(KEYS[2], 'hash', 'HSET')
check_rights(KEYS[3], 'HSET')
if #new > 1 and string.find(counted, '^18446744073709551615%-18') then
  error({err = 'ERR the stream is at its last entry ids: add one event at a time'})
end

local metadata, heads, ids = {}, {}, {'counted', counted}
if ARGV[3] ~= '' then metadata = {'metadata', ARGV[3]} end
for index, place in ipairs(new) do
  local at = STRINGS * place
  local id = redis.call('XADD', KEYS[1], '*', 'name', ARGV[at + 2], 'v', ARGV[at + 3],
    'id', ARGV[at + 1], 'source', ARGV[2], 'payload', ARGV[at + 4], unpack(metadata))
  heads[2 * index - 1], heads[2 * index] = ARGV[at], id
  ids[2 * index + 1], ids[2 * index + 2] = ARGV[at + 1], id
  reply[place + 1], ids[2] = id, id
end
if #new > 0 then redis.call('HSET', KEYS[2], unpack(heads)) end
-- A write also where nothing is new, so that WAIT and WAITAOF after it wait for the append as well.
redis.call('HSET', KEYS[3], unpack(ids))
return reply
