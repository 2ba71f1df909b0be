-- Entry ids, compared as pairs of integers of 64 bits, which Lua's numbers cannot hold.

local function is_entry_id(text)
  local ms, seq = string.match(text or '', '^(%d+)-(%d+)$')
  return ms ~= nil and #ms <= 20 and #seq <= 20
end

-- A damaged id is compared as if it were 0-0.
local function halves(id)
  local ms, seq = string.match(is_entry_id(id) and id or '0-0', '^(%d+)-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms, string.rep('0', 20 - #seq) .. seq
end

local function is_beyond(id, other)
  local ms, seq = halves(id)
  local other_ms, other_seq = halves(other)
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end
