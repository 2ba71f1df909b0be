-- Add entries as they were elsewhere: any fields, their own ids or new ones.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:heads, endpoint -> entry id of its last event
-- ARGV[1]  the id that must be the last one the stream ever had ("0-0": none), or "" for any
-- ARGV[2]  number of entries; then for each: id or "*", endpoint or "", number of strings,
--          field, value, ...
-- Reply    {"copied", last id} | {"moved", last id}: nothing was added

-- include check_writes

check_writes(KEYS[2], 'hash', 'HSET')

local function last_id()
  if redis.call('EXISTS', KEYS[1]) == 0 then
    return '0-0'
  end
  local about = redis.call('XINFO', 'STREAM', KEYS[1])
  for at = 1, #about, 2 do
    if about[at] == 'last-generated-id' then
      return about[at + 1]
    end
  end
end

if ARGV[1] ~= '' then
  local last = last_id()
  if last ~= ARGV[1] then
    return {'moved', last}
  end
end

local last
local at = 3
for _ = 1, tonumber(ARGV[2]) do
  local endpoint, strings = ARGV[at + 1], tonumber(ARGV[at + 2])
  last = redis.call('XADD', KEYS[1], ARGV[at], unpack(ARGV, at + 3, at + 2 + strings))
  if endpoint ~= '' then
    redis.call('HSET', KEYS[2], endpoint, last)
  end
  at = at + 3 + strings
end
return {'copied', last}
