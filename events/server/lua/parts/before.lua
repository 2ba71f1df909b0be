-- The greatest entry id smaller than another, which must not be 0-0.

local function decremented(digits)  -- as text: a number of Lua's has 53 bits
  local head, zeros = string.match(digits, '^(%d-)(0*)$')
  local less = string.sub(head, 1, -2) .. (string.sub(head, -1) - 1) .. string.rep('9', #zeros)
  return (string.gsub(less, '^0+(%d)', '%1'))
end

local function before(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if seq ~= '0' then return ms .. '-' .. decremented(seq) end
  return decremented(ms) .. '-18446744073709551615'
end
