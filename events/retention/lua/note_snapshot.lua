-- Note up to where a projector can read a snapshot, and let retention rely on what all of them can.
--
-- The position of the snapshots is the lowest of the living projectors: it goes back where one of
-- them cannot read what the others can.
--
-- KEYS[1]  hash  {ns:P}:positions, holder -> entry id
-- KEYS[2]  hash  {ns:P}:snapshots, read model and process, a line each -> the server's clock (ms),
--          the position, the facts, a line each; an empty process for the snapshot taken last
-- ARGV[1]  read model
-- ARGV[2]  process, "" where a snapshot was taken
-- ARGV[3]  position of the newest snapshot that it can read or has taken, "" if there is none
-- ARGV[4]  facts, JSON
-- ARGV[5]  ms without a note after which a projector is dead
-- ARGV[6]  ms without one after which it is forgotten
-- Reply    nil

-- include check_writes
-- include entry_id

check_writes(KEYS[1], 'hash', 'HSET', 'HEXISTS')
check_writes(KEYS[2], 'hash', 'HSET', 'HDEL', 'HGETALL')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dead, forgotten = tonumber(ARGV[5]), tonumber(ARGV[6])
local lowest, gone = ARGV[3], {}
local held = redis.call('HGETALL', KEYS[2])
for place = 1, #held, 2 do
  local model, process = string.match(held[place], '^([^\n]*)\n(.+)$')
  local at, position = string.match(held[place + 1], '^(%d+)\n([^\n]*)\n')
  local silent = now - (tonumber(at) or 0)
  if process and silent > forgotten then
    gone[#gone + 1] = held[place]
  elseif model == ARGV[1] and process ~= ARGV[2] and math.abs(silent) < dead and lowest ~= '' then
    if not is_entry_id(position) then
      lowest = ''
    elseif is_beyond(lowest, position) then
      lowest = position
    end
  end
end

local holder = 'snapshot:' .. ARGV[1]
local has_position = redis.call('HEXISTS', KEYS[1], holder) == 1
for _, field in ipairs(gone) do redis.call('HDEL', KEYS[2], field) end
local note = string.format('%.0f\n%s\n%s', now, ARGV[3], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1] .. '\n' .. ARGV[2], note)
if ARGV[2] == '' then return nil end
if lowest ~= '' then
  redis.call('HSET', KEYS[1], holder, lowest)
elseif has_position then
  redis.call('HSET', KEYS[1], holder, '0-0')
end
return nil
