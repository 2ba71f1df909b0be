-- Forget endpoints that were destroyed so long ago that the log has no event of theirs any more.
--
-- KEYS[1]  string  {ns:P}:PROJECTION:live, number of the live generation
-- KEYS[2]  hash    {ns:P}:PROJECTION:G, endpoint -> document, JSON that begins with its revision
-- KEYS[3]  stream  {ns:P}:PROJECTION:changes, the change feed
-- KEYS[4]  hash    {ns:P}:generations, fields PROJECTION:changes -> id of the feed's last entry,
--                  PROJECTION:documents -> how many documents the live generation has
-- KEYS[5]  stream  {ns:P}:events
-- KEYS[6]  hash    {ns:P}:heads, endpoint -> entry id of its last event
-- ARGV[1]  G, the generation that the documents belong to
-- ARGV[2]  PROJECTION
-- ARGV[3]  entries that the change feed keeps
-- ARGV[4]  ... endpoint, revision read, and so on
-- Reply    how many were forgotten, -1 where G is not live or lacks documents

-- include check_writes
-- include entry_id
-- include fields

local counted, feed = ARGV[2] .. ':documents', ARGV[2] .. ':changes'
if redis.call('GET', KEYS[1]) ~= ARGV[1]
  or redis.call('HLEN', KEYS[2]) ~= tonumber(redis.call('HGET', KEYS[4], counted) or '')
  or redis.call('EXISTS', KEYS[5]) == 0 then
  return -1
end
local about = fields(redis.call('XINFO', 'STREAM', KEYS[5]))
local first = about['first-entry'] and about['first-entry'][1] or about['last-generated-id']

local forgotten, changes = {}, {}
for at = 4, #ARGV, 2 do
  local endpoint, prefix = ARGV[at], '{"revision":' .. ARGV[at + 1] .. ','
  local head = redis.call('HGET', KEYS[6], endpoint)
  local document = redis.call('HGET', KEYS[2], endpoint)
  if document and string.sub(document, 1, #prefix) == prefix
    and (not head or is_beyond(first, head)) then
    forgotten[#forgotten + 1] = endpoint
    changes[#changes + 1] = endpoint .. ' 0'
  end
end
if #forgotten == 0 then return 0 end

check_writes(KEYS[2], 'hash', 'HDEL')
check_writes(KEYS[3], 'stream', 'XADD')
check_writes(KEYS[4], 'hash', 'HSET')
check_writes(KEYS[6], 'hash', 'HDEL')
redis.call('HDEL', KEYS[2], unpack(forgotten))
redis.call('HDEL', KEYS[6], unpack(forgotten))
local previous = redis.call('HGET', KEYS[4], feed) or ''
local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*',
  'previous', previous, 'generation', ARGV[1], 'changes', table.concat(changes, ' '))
redis.call('HSET', KEYS[4], counted, redis.call('HLEN', KEYS[2]), feed, id)
return #forgotten
