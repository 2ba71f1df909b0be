-- Seal a partition, so that nothing is appended to it while its log moves; renew, keep or lift that.
--
-- KEYS[1]  string  {ns:P}:seal, expires: the identity of the log that the partition moves to
-- ARGV[1]  that identity
-- ARGV[2]  "seal", "renew" or "keep", which need a seal of that identity, or "lift"
-- ARGV[3]  how long it lasts, in ms, unless it is kept
-- Reply    1 done, 0 nothing was done: there is no seal, or another one
--
-- A seal that is kept lasts for good; neither is it renewed, nor lifted.

-- include check_writes

check_writes(KEYS[1], 'string', 'SET', 'PEXPIRE', 'PERSIST', 'DEL')
local sealed = redis.call('GET', KEYS[1])
if not sealed and ARGV[2] == 'seal' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  return 1
end
if sealed ~= ARGV[1] then return 0 end
if redis.call('PTTL', KEYS[1]) == -1 then return ARGV[2] == 'lift' and 0 or 1 end
if ARGV[2] == 'lift' then
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == 'keep' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
