-- Make a generation live, if the live one is still what the caller saw, and if the group has
-- acknowledged nothing that the generation has not folded.
--
-- KEYS[1]  string  {ns:P}:PROJECTION:live
-- KEYS[2]  stream  {ns:P}:PROJECTION:changes, the change feed
-- KEYS[3]  hash    {ns:P}:generations, fields PROJECTION:changes -> id of the feed's last entry,
--                  PROJECTION:documents -> how many documents the live generation has,
--                  PROJECTION:kept -> the generation that was live before,
--                  PROJECTION:kept-since -> an entry before which it has folded all,
--                  PROJECTION:kept-documents -> how many documents it has
-- KEYS[4]  hash    {ns:P}:PROJECTION:G, the documents of the generation to become live
-- KEYS[5]  stream  {ns:P}:events
-- KEYS[6]  any     the documents of the generation that was kept so far, to be deleted, whatever they are
-- KEYS[7]  string  {ns:P}:PROJECTION:pause, which ends with the swap
-- KEYS[8]  hash    {ns:P}:identity, which log the partition belongs to
-- ARGV[1]  the live generation that the caller saw, "" for none
-- ARGV[2]  the generation to become live
-- ARGV[3]  PROJECTION, which is also the name of its group
-- ARGV[4]  entries that the change feed keeps
-- ARGV[5]  the change feed's last entry that the caller saw ("" for none), "*" for any
-- ARGV[6]  the entry up to which the generation has folded all, "" to skip the check
-- ARGV[7]  the kept generation that the caller saw, "" for none
-- ARGV[8]  how many documents the generation has with those that follow, "*" for any number
-- ARGV[9]  identity of the log that the generation was folded from, "" for any
-- ARGV[10] number of documents to be written now; then for each: endpoint, document
-- Reply    "live" done
--          "moved" another one went live meanwhile, or was live and is gone again, or is kept
--          "ahead" the group has acknowledged entries that the generation has not folded
--          "gone" the history is not the one that the generation was folded from
--          "short" the generation has another number of documents than ARGV[8]

-- include check_writes
-- include entry_id

local OUTSTANDING_MAX = 1000

-- Return the last entry that was delivered to the group.
local function delivered_to(name)
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[5])
  if groups.err then
    return nil
  end
  for _, about in ipairs(groups) do
    local group = {}
    for at = 1, #about, 2 do
      group[about[at]] = about[at + 1]
    end
    if group['name'] == name then
      return group['last-delivered-id']
    end
  end
  return nil
end

local function acknowledged_after(position, delivered)
  if not delivered then
    -- It is not known what a lost group had acknowledged: all entries must be folded.
    local last = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
    return last and is_beyond(last[1], position)
  end
  if not is_beyond(delivered, position) then
    return false
  end
  local outstanding = redis.call('XRANGE', KEYS[5], '(' .. position, delivered, 'COUNT',
    OUTSTANDING_MAX + 1)
  local pending = {}
  for _, delivery in ipairs(redis.call('XPENDING', KEYS[5], ARGV[3], '(' .. position, delivered,
    OUTSTANDING_MAX + 1)) do
    pending[delivery[1]] = true
  end
  for _, entry in ipairs(outstanding) do
    if not pending[entry[1]] then
      return true
    end
  end
  return #outstanding > OUTSTANDING_MAX
end

local name, feed = ARGV[3], ARGV[3] .. ':changes'
if ARGV[9] ~= '' and redis.call('HGET', KEYS[8], 'identity') ~= ARGV[9] then
  return 'gone'
end
local kept = redis.call('HGET', KEYS[3], name .. ':kept') or ''
local previous = redis.call('HGET', KEYS[3], feed) or ''
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] or kept ~= ARGV[7]
  or (ARGV[5] ~= '*' and ARGV[5] ~= previous) then
  return 'moved'
end
local delivered = delivered_to(name)
if ARGV[6] ~= '' and acknowledged_after(ARGV[6], delivered) then
  return 'ahead'
end

local written, documents = 10 + 2 * tonumber(ARGV[10]), redis.call('HLEN', KEYS[4])
for at = 11, written, 2 do
  documents = documents + 1 - redis.call('HEXISTS', KEYS[4], ARGV[at])
end
if ARGV[8] ~= '*' and documents ~= tonumber(ARGV[8]) then
  return 'short'
end

check_writes(KEYS[1], 'string', 'SET')
check_writes(KEYS[3], 'hash', 'HSET', 'HDEL')
check_writes(KEYS[4], 'hash', 'HSET', 'PERSIST')
check_rights(KEYS[6], 'UNLINK')
check_writes(KEYS[5], 'stream', 'XPENDING')
check_writes(KEYS[7], 'string', 'DEL')
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*',
  'previous', previous, 'generation', ARGV[2], 'changes', '')
for at = 11, written, 2 do
  redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
end
redis.call('PERSIST', KEYS[4])
redis.call('DEL', KEYS[7])
redis.call('SET', KEYS[1], ARGV[2])
local counted = redis.call('HGET', KEYS[3], name .. ':documents') or 0
redis.call('HSET', KEYS[3], feed, id, name .. ':documents', documents)
if ARGV[1] ~= '' then
  local since = delivered or '0-0'
  if delivered then
    local oldest = redis.call('XPENDING', KEYS[5], name)[2]
    since = oldest or delivered
  end
  redis.call('HSET', KEYS[3], name .. ':kept', ARGV[1], name .. ':kept-since', since,
    name .. ':kept-documents', counted)
  if kept ~= '' and kept ~= ARGV[2] then
    redis.call('UNLINK', KEYS[6])
  end
elseif kept == ARGV[2] then
  -- The kept generation is live now and will change, so it is no longer the kept one.
  redis.call('HDEL', KEYS[3], name .. ':kept', name .. ':kept-since', name .. ':kept-documents')
end
return 'live'
