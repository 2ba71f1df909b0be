-- Return the owner in a lease's value, "TOKEN HOLDER MS", and the time that it asked for; the release
-- before wrote no time.
local function lease_in(value)
  local owner, asked_ms = string.match(value or '', '^(%d+ .*) (%d+)$')
  return owner or value, tonumber(asked_ms)
end
