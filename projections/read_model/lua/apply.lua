-- Change documents of the live generation and acknowledge the entries applied, in one step.
--
-- KEYS[1]  string  {ns:P}:PROJECTION:live, number of the live generation
-- KEYS[2]  hash    {ns:P}:PROJECTION:G, endpoint -> document, JSON that begins with its revision
-- KEYS[3]  stream  {ns:P}:PROJECTION:changes, the change feed
-- KEYS[4]  hash    {ns:P}:generations, fields PROJECTION:changes -> id of the feed's last entry,
--                  PROJECTION:documents -> how many documents the live generation has
-- KEYS[5]  stream  {ns:P}:events
-- KEYS[6]  string  {ns:P}:PROJECTION:pause, exists while a rebuild swaps
-- KEYS[7]  hash    {ns:P}:errors:GROUP
-- KEYS[8]  hash    {ns:P}:identity, which log the partition belongs to
-- KEYS[9]  hash    {ns:P}:positions, holder -> entry id
-- ARGV[1]  G, the generation that the documents belong to
-- ARGV[2]  PROJECTION
-- ARGV[3]  group whose entries are acknowledged, and whose position is kept
-- ARGV[4]  entries that the change feed keeps
-- ARGV[5]  "1" to wait for the end of a pause, "0" to ignore it
-- ARGV[6]  identity of the log that the entries were read from, "" for any
-- ARGV[7]  the newest of the entries, and after a space the id of its event; "" for none
-- ARGV[8]  number of documents; then for each: endpoint, revision read ("0": none), SHA-1 of the
--          damaged document that was read ("": none), document, number of entries, entry ids
-- then     number of entries that changed nothing, entry ids
-- Reply    {"gone"} where the history is not the one that the entries were read from, or the group
--          waits for what is missing of it: nothing was done
--          {"stale"} where G is not live, {"lost"} where documents are missing: nothing was done
--          {"paused", milliseconds} nothing was done; call again after that time
--          {"applied", endpoint, document, ...}: the endpoints that had another revision, each with
--          its current document ("" for none); they were not written, their entries not
--          acknowledged

-- include before
-- include check_writes
-- include entry_id
-- include fields
-- include has_event
-- include stand

-- Whether the entry is not in the stream, or is another event, and was not removed from it either.
local function never_had(stream, known)
  local id = string.match(known, '^%S+')
  if redis.call('EXISTS', stream) == 0 then return true end
  if has_event(stream, known) then return false end
  if has_event(stream, id) then return true end
  local about = fields(redis.call('XINFO', 'STREAM', stream))
  if about['entries-added'] == about['length'] then return true end
  if is_beyond(id, about['last-generated-id']) then return true end
  local first = about['first-entry'] and about['first-entry'][1] or about['last-generated-id']
  return is_beyond(id, first) and is_beyond(id, about['max-deleted-entry-id'])
end

if ARGV[6] ~= '' and redis.call('HGET', KEYS[8], 'identity') ~= ARGV[6]
  or redis.call('HEXISTS', KEYS[8], 'missing:' .. ARGV[3]) == 1
  or ARGV[7] ~= '' and never_had(KEYS[5], ARGV[7]) then
  return {'gone'}
end

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'stale'}
end

local counted = ARGV[2] .. ':documents'
-- A key that is not a hash makes the reply an error, which equals no number.
if redis.pcall('HLEN', KEYS[2]) ~= tonumber(redis.call('HGET', KEYS[4], counted)) then
  return {'lost'}
end

if ARGV[5] == '1' then
  local left = redis.call('PTTL', KEYS[6])
  if left > 0 then
    local asked = tonumber(string.match(redis.call('GET', KEYS[6]), ' (%d+)$')) or 1000
    -- One that would last longer than was asked is from before the server's clock was set back.
    if left <= asked then return {'paused', left} end
  end
end

check_writes(KEYS[2], 'hash', 'HSET')
check_writes(KEYS[4], 'hash', 'HSET')
check_writes(KEYS[5], 'stream', 'XACK')
check_writes(KEYS[7], 'hash', 'EXISTS', 'HDEL')
check_stand(KEYS[5], KEYS[9])

local CHUNK = 1000  -- unpack() takes some thousands at most

local function in_chunks(list, call)
  for from = 1, #list, CHUNK do
    call(unpack(list, from, math.min(from + CHUNK - 1, #list)))
  end
end

local endpoints, revisions, damaged, documents, entries = {}, {}, {}, {}, {}
local at = 9
for place = 1, tonumber(ARGV[8]) do
  endpoints[place], revisions[place] = ARGV[at], ARGV[at + 1]
  damaged[place], documents[place] = ARGV[at + 2], ARGV[at + 3]
  entries[place] = {at + 5, at + 4 + tonumber(ARGV[at + 4])}
  at = entries[place][2] + 1
end

local present = {}
in_chunks(endpoints, function(...)
  for _, document in ipairs(redis.call('HMGET', KEYS[2], ...)) do
    present[#present + 1] = document
  end
end)

local reply, written, settled, changes = {'applied'}, {}, {}, {}
for place, endpoint in ipairs(endpoints) do
  local now, agrees = present[place], false
  if damaged[place] ~= '' then
    agrees = now and redis.sha1hex(now) == damaged[place]
  elseif now then
    local prefix = '{"revision":' .. revisions[place] .. ','
    agrees = string.sub(now, 1, #prefix) == prefix
  else
    agrees = revisions[place] == '0'
  end
  if agrees then
    written[#written + 1] = endpoint
    written[#written + 1] = documents[place]
    changes[#changes + 1] = endpoint .. ' ' .. string.format('%d', revisions[place] + 1)
    for entry = entries[place][1], entries[place][2] do
      settled[#settled + 1] = ARGV[entry]
    end
  else
    reply[#reply + 1] = endpoint
    reply[#reply + 1] = now or ''
  end
end
for entry = at + 1, at + tonumber(ARGV[at]) do
  settled[#settled + 1] = ARGV[entry]
end

if #changes > 0 then
  local field = ARGV[2] .. ':changes'
  local previous = redis.call('HGET', KEYS[4], field) or ''
  local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*',
    'previous', previous, 'generation', ARGV[1], 'changes', table.concat(changes, ' '))
  in_chunks(written, function(...) redis.call('HSET', KEYS[2], ...) end)
  redis.call('HSET', KEYS[4], counted, redis.call('HLEN', KEYS[2]), field, id)
end
in_chunks(settled, function(...) redis.call('XACK', KEYS[5], ARGV[3], ...) end)
-- A group that was lost meanwhile has no position: it is made again at the one that is kept.
if #settled > 0 then pcall(stand, KEYS[5], KEYS[9], ARGV[3], 'group:' .. ARGV[3]) end
if redis.call('EXISTS', KEYS[7]) == 1 then
  in_chunks(settled, function(...) redis.call('HDEL', KEYS[7], ...) end)
end
return reply
