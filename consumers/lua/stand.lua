-- Keep where a group stands: before its oldest pending entry, or behind all it was delivered.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:positions, holder -> entry id
-- ARGV[1]  group
-- ARGV[2]  its holder
-- Reply    the entry id that is kept now

-- include entry_id
-- include fields

local function before(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if seq ~= '0' and tonumber(seq) < 2 ^ 53 then
    return ms .. '-' .. string.format('%d', tonumber(seq) - 1)
  end
  return string.format('%d', tonumber(ms) - 1) .. '-18446744073709551615'
end

local stands
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)
if #pending > 0 then
  stands = before(pending[1][1])
else
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local about = fields(group)
    if about['name'] == ARGV[1] then stands = about['last-delivered-id'] end
  end
end

local last = fields(redis.call('XINFO', 'STREAM', KEYS[1]))['last-generated-id']
local kept = redis.call('HGET', KEYS[2], ARGV[2])
-- A position beyond the end is one of a history that is not there any more.
if kept and not is_beyond(kept, last) and not is_beyond(stands, kept) then
  return kept
end
redis.call('HSET', KEYS[2], ARGV[2], stands)
return stands
