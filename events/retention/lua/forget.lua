-- Forget event ids whose entries the stream no longer has, some at a time.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:event-ids, event id -> entry id; counted -> entry up to which it counts
-- ARGV[1]  where to begin: "0", then what the call before replied
-- ARGV[2]  event ids to look at, about
-- Reply    where to go on, "0" at the end

-- include entry_id

local entry = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local first = entry and entry[1]
local first_ms = first and string.match(first, '^%d+')

local function is_gone(id)
  local ms = string.match(id, '^(%d+)-%d+$')
  if not first or not ms then return true end
  -- As text where that is right: in a fifth of the time.
  if #ms == #first_ms and ms ~= first_ms then return ms < first_ms end
  return is_beyond(first, id)
end

local page = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
local gone = {}
for at = 1, #page[2], 2 do
  local event_id = page[2][at]
  if event_id ~= 'counted' and is_gone(page[2][at + 1]) then gone[#gone + 1] = event_id end
end
if #gone > 0 then redis.call('HDEL', KEYS[2], unpack(gone)) end
return page[1]
