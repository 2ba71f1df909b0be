-- Note that a process lives, and what it is; return what is known of its group.
--
-- A process that is new takes the place of the one of its group that has been dead for longest: what
-- is left of the dead says how many lack. Those that died long ago are forgotten.
--
-- KEYS[1]  hash  ns:processes, process -> the server's clock (ms), its group, its facts; a line each
-- ARGV[1]  process
-- ARGV[2]  its group
-- ARGV[3]  its facts, JSON
-- ARGV[4]  ms without a sign of life after which a process is dead
-- ARGV[5]  ms without one after which it is forgotten
-- Reply    {the server's clock in ms, {process, its value, ...}}: of the group, the dead ones, too

-- include check_writes

check_writes(KEYS[1], 'hash', 'HSET', 'HDEL', 'HGETALL')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dead_before, forgotten_before = now - tonumber(ARGV[4]), now - tonumber(ARGV[5])
local void_from = now + tonumber(ARGV[4])  -- a sign from before the clock was set back
local facts = string.format('%.0f\n%s\n%s', now, ARGV[2], ARGV[3])
local is_new = redis.call('HSET', KEYS[1], ARGV[1], facts) == 1
local held = redis.call('HGETALL', KEYS[1])
local known, gone = {}, {}
local oldest, oldest_at
for place = 1, #held, 2 do
  local at, group = string.match(held[place + 1], '^(%d+)\n([^\n]*)\n')
  at = tonumber(at) or 0
  if at < forgotten_before then
    gone[#gone + 1] = held[place]
  elseif group == ARGV[2] then
    known[#known + 1] = held[place]
    known[#known + 1] = held[place + 1]
    if (at < dead_before or at > void_from) and at < (oldest_at or math.huge) then
      oldest, oldest_at = held[place], at
    end
  end
end
if is_new then
  gone[#gone + 1] = oldest
  for _, process in ipairs(gone) do
    redis.call('HDEL', KEYS[1], process)
  end
end
return {now, known}
