-- Append events to one partition, all or none, and never twice.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:heads, endpoint -> entry id of its last event
-- KEYS[3]  string  {ns:P}:appended:EVENT, "<first entry id> <count>" of an append that landed
-- ARGV[1]  the head that the first event's endpoint must have ("0-0": none), or "" for any
-- ARGV[2]  milliseconds for which KEYS[3] is kept
-- ARGV[3]  number of events; then for each: endpoint, number of strings, field, value, ...
-- Reply    {"appended", id, ...} | {"seen", id, ...} | {"conflict", head}

-- include check_writes

local seen = redis.call('GET', KEYS[3])
if seen then
  -- A write, so that WAIT and WAITAOF after it wait for the append as well.
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
  local first, count = string.match(seen, '^(%S+) (%d+)$')
  local reply = {'seen'}
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', count)) do
    reply[#reply + 1] = entry[1]
  end
  return reply
end

if ARGV[1] ~= '' then
  local head = redis.call('HGET', KEYS[2], ARGV[4]) or '0-0'
  if head ~= ARGV[1] then
    return {'conflict', head}
  end
end

check_writes(KEYS[2], 'hash', 'HSET')
check_writes(KEYS[3], 'string', 'SET')

local reply = {'appended'}
local at = 4
for _ = 1, tonumber(ARGV[3]) do
  local endpoint, strings = ARGV[at], tonumber(ARGV[at + 1])
  local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 2, at + 1 + strings))
  redis.call('HSET', KEYS[2], endpoint, id)
  reply[#reply + 1] = id
  at = at + 2 + strings
end
redis.call('SET', KEYS[3], reply[2] .. ' ' .. ARGV[3], 'PX', ARGV[2])
return reply
