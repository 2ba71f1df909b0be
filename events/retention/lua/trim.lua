-- Cut the oldest entries off a partition in one bounded step, none that a reader still needs.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:positions, holder -> entry id; "trimmed" is written here
-- ARGV[1]  entry id: nothing from it on is cut, whatever the readers need
-- ARGV[2]  entries that a step cuts, about
-- ARGV[3]  number of kinds of holders that are passed over; then these kinds, such as "archive"
-- then     ... holders without which nothing is cut, such as "snapshot:route-table"
-- Reply    {entries removed, the cut, the holder that needs the entry there ("" for ARGV[1] or the
--          end of the log), 1 if nothing before the cut is left}, {} if there is no such stream

-- include check_writes
-- include entry_id
-- include fields
-- include before

if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
check_writes(KEYS[1], 'stream', 'XRANGE')
check_writes(KEYS[2], 'hash', 'HSET')

local last = fields(redis.call('XINFO', 'STREAM', KEYS[1]))['last-generated-id']
local cut, holder = ARGV[1], ''
if is_beyond(cut, last) then cut = last end

local function hold(id, name)
  if is_beyond(cut, id) then cut, holder = is_entry_id(id) and id or '0-0', name end
end

local positions, passed_over = fields(redis.call('HGETALL', KEYS[2])), {trimmed = true}
local required_from = 4 + tonumber(ARGV[3])
for at = 4, required_from - 1 do passed_over[ARGV[at]] = true end
for at = required_from, #ARGV do
  if not positions[ARGV[at]] then hold('0-0', ARGV[at]) end
end
for name, id in pairs(positions) do
  if not passed_over[string.match(name, '^[^:]*')] then hold(id, name) end
end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = fields(flat)
  local name = 'group:' .. group['name']
  hold(group['last-delivered-id'], name)
  if group['pending'] > 0 then
    hold(redis.call('XPENDING', KEYS[1], group['name'])[2], name)
  end
end

-- Whole nodes as long as there are any before the cut, then what is left: a part of one node.
local removed = redis.call('XTRIM', KEYS[1], 'MINID', '~', cut, 'LIMIT', ARGV[2])
local is_done = removed == 0
if is_done then removed = redis.call('XTRIM', KEYS[1], 'MINID', '=', cut) end
if removed > 0 then
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  redis.call('HSET', KEYS[2], 'trimmed', first and before(first[1]) or last)
end
return {removed, cut, holder, is_done and 1 or 0}
