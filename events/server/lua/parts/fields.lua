-- Turn a flat list of names and values, as Redis replies, into a table by name.

local function fields(flat)
  local by_name = {}
  for at = 1, #flat, 2 do by_name[flat[at]] = flat[at + 1] end
  return by_name
end
