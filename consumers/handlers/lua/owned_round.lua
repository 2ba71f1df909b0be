-- End entries that are done, and note how far the tries of others have come, for the owner of their
-- partition; keep the group's position.
--
-- KEYS[1]  string  {ns:P}:fence:GROUP
-- KEYS[2]  stream  {ns:P}:events
-- KEYS[3]  hash    {ns:P}:tries:GROUP
-- KEYS[4]  hash    {ns:P}:errors:GROUP
-- KEYS[5]  hash    {ns:P}:positions, holder -> entry id
-- KEYS[6]  set     {ns:P}:hand:GROUP
-- ARGV[1]  owner
-- ARGV[2]  group
-- ARGV[3]  its holder
-- ARGV[4]  consumer
-- ARGV[5]  number of entries that are done, some thousands at most; then their ids
-- then     ... for each entry that is tried, in the order of their ids: its id; tries begun, its
--          deliveries, too; failures; how long until the next try, in ms; the error, "" if it did
--          not fail
-- Reply    -1 if another owns, else the ids of those that are tried, but no longer pending

-- include before
-- include check_writes
-- include entry_id
-- include errors
-- include fields
-- include stand
-- include trimmed

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
check_writes(KEYS[2], 'stream', 'XACK', 'XCLAIM', 'XRANGE')
check_writes(KEYS[3], 'hash', 'HDEL', 'HSET')
check_writes(KEYS[4], 'hash', 'HDEL', 'HSET', 'HEXISTS', 'UNLINK')
check_writes(KEYS[6], 'set', 'SREM')
check_stand(KEYS[2], KEYS[5])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function forget(...)
  redis.call('HDEL', KEYS[3], ...)
  redis.call('HDEL', KEYS[4], ...)
  redis.call('SREM', KEYS[6], ...)
end

local first_tried = 6 + ARGV[5]
if first_tried > 6 then
  forget(unpack(ARGV, 6, first_tried - 1))
  local ended = redis.call('XACK', KEYS[2], ARGV[2], unpack(ARGV, 6, first_tried - 1))
  -- In the same step: if the group is lost later, a handler's effects must not be repeated.
  if ended > 0 then stand(KEYS[2], KEYS[5], ARGV[2], ARGV[3]) end
end
if first_tried > #ARGV then return {} end

-- One claim for all with the same number of tries: it says which are pending, and dates them.
local is_pending, claims, first, may_be_trimmed = {}, {}, first_entry(KEYS[2]), true
for at = first_tried, #ARGV, 5 do
  local id, begun = ARGV[at], ARGV[at + 1]
  may_be_trimmed = may_be_trimmed and is_trimmed(id, first)
  if may_be_trimmed then
    is_pending[id] = #redis.call('XPENDING', KEYS[2], ARGV[2], id, id, 1) > 0
  else
    claims[begun] = claims[begun] or {'XCLAIM', KEYS[2], ARGV[2], ARGV[4], 0}
    table.insert(claims[begun], id)
  end
end
for begun, claim in pairs(claims) do
  local last = #claim
  claim[last + 1], claim[last + 2] = 'IDLE', 0
  claim[last + 3], claim[last + 4] = 'RETRYCOUNT', begun
  claim[last + 5] = 'JUSTID'
  for _, id in ipairs(redis.call(unpack(claim))) do is_pending[id] = true end
end

local noted, gone = {}, {}
for at = first_tried, #ARGV, 5 do
  local id, begun, failures, waits_ms, failed = unpack(ARGV, at, at + 4)
  if is_pending[id] then
    noted[#noted + 1] = id
    noted[#noted + 1] = table.concat(
      {begun, failures, string.format('%d', now_ms + waits_ms), waits_ms}, ' '
    )
    if failed ~= '' then keep_error(KEYS[4], id, failed) end
  else
    gone[#gone + 1] = id
  end
end
if #noted > 0 then redis.call('HSET', KEYS[3], unpack(noted)) end
if #gone > 0 then forget(unpack(gone)) end
return gone
