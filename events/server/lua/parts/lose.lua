-- Note a loss once, whoever finds it, and however often. Needs the parts check_writes, entry_id and
-- fields.

local LOOKED_AT = 100

-- Refuse what `lose` would be refused, before the script's first write.
local function check_lose(losses, lost)
  check_writes(losses, 'stream', 'XADD', 'XREVRANGE')
  check_writes(lost, 'hash', 'HINCRBY')
end

-- Whether the range of one loss holds that of another.
local function holds(loss, other)
  return is_entry_id(other.first) and is_entry_id(other.last)
    and not is_beyond(loss.first, other.first) and not is_beyond(other.last, loss.last)
end

-- Return how many of the loss's entries had not been noted before. Its fields: group, why, first,
-- last, entries, at; counted: 'exactly', or 'least' for a lower bound; by: 'consumer' for what one
-- consumer was given, 'group' for what all of them were given.
local function lose(losses, lost, kept_max, loss)
  local known = 0
  for _, entry in ipairs(redis.call('XREVRANGE', losses, '+', '-', 'COUNT', LOOKED_AT)) do
    local noted = fields(entry[2])
    if noted.group == loss.group and noted.why == loss.why then
      local entries = tonumber(noted.entries) or 0
      if noted.first == loss.first or loss.by == 'group' and holds(loss, noted) then
        known = known + entries
      elseif noted.by == 'group' and holds(noted, loss) then
        return 0
      end
    end
  end
  local new = loss.entries - known
  if new <= 0 then return 0 end
  redis.call('HINCRBY', lost, loss.group, new)
  redis.call('XADD', losses, 'MAXLEN', '~', kept_max, '*', 'group', loss.group, 'why', loss.why,
    'first', loss.first, 'last', loss.last, 'entries', new, 'counted', loss.counted,
    'by', loss.by, 'at', loss.at)
  return new
end
