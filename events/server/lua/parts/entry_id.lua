-- Entry ids, compared as pairs of integers of 64 bits, which Lua's numbers cannot hold.

local function is_entry_id(text)
  local ms, seq = string.match(text or '', '^(%d+)-(%d+)$')
  return ms ~= nil and #ms <= 20 and #seq <= 20
end

-- Digits without leading zeros: of two such numbers the longer one is greater.
local function stripped(digits)
  if string.byte(digits) ~= 48 then return digits end
  return string.match(digits, '^0*(%d*)$')
end

-- A damaged id is compared as if it were 0-0.
local function halves(id)
  local ms, seq = string.match(id or '', '^(%d+)-(%d+)$')
  if not ms or #ms > 20 or #seq > 20 then return '', '' end
  return stripped(ms), stripped(seq)
end

local function is_beyond(id, other)
  if id == other then return false end
  local ms, seq = halves(id)
  local other_ms, other_seq = halves(other)
  if ms == other_ms then ms, other_ms = seq, other_seq end
  return #ms > #other_ms or (#ms == #other_ms and ms > other_ms)
end
