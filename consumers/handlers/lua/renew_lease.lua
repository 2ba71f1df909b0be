-- Renew the owner's lease, and reset the idle times of its entries without counting a delivery.
--
-- KEYS[1]  string  {ns:P}:lease:GROUP
-- KEYS[2]  string  {ns:P}:fence:GROUP
-- KEYS[3]  stream  {ns:P}:events
-- ARGV[1]  owner
-- ARGV[2]  how long the lease holds, in ms
-- ARGV[3]  group
-- ARGV[4]  consumer
-- ARGV[5]  ... the entry ids in hand, some thousands at most
-- Reply    -1 if another owns, else {how many entries are pending, how many of them with consumers
--          other than the owner}

-- include check_writes
-- include entry_id
-- include trimmed

if redis.call('GET', KEYS[2]) ~= ARGV[1] then return -1 end
check_writes(KEYS[3], 'stream', 'XCLAIM', 'XPENDING')
local first = first_entry(KEYS[3])
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[2])
local claim = {'XCLAIM', KEYS[3], ARGV[3], ARGV[4], 0}
for at = 5, #ARGV do
  if not is_trimmed(ARGV[at], first) then claim[#claim + 1] = ARGV[at] end
end
if #claim > 5 then
  claim[#claim + 1] = 'IDLE'
  claim[#claim + 1] = 0
  claim[#claim + 1] = 'JUSTID'
  redis.call(unpack(claim))
end

local others = 0
local pending = redis.call('XPENDING', KEYS[3], ARGV[3])
for _, one in ipairs(pending[4] or {}) do
  if one[1] ~= ARGV[4] then others = others + tonumber(one[2]) end
end
return {pending[1], others}
