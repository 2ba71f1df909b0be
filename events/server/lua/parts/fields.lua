-- What Redis tells as a flat list of names and values, by name.

local function fields(flat)
  local by_name = {}
  for at = 1, #flat, 2 do by_name[flat[at]] = flat[at + 1] end
  return by_name
end
