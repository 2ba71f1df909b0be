-- Note a loss once, whoever finds it, and however often. Needs the parts check_writes, entry_id and
-- fields.

local LOOKED_AT = 100
local IDS_KEPT_MAX = 10000

-- Refuse what `lose` would be refused, before the script's first write.
local function check_lose(losses, lost)
  check_writes(losses, 'stream', 'XADD', 'XREVRANGE')
  check_writes(lost, 'hash', 'HINCRBY')
end

local function is_within(id, loss)
  return not is_beyond(loss.first, id) and not is_beyond(id, loss.last)
end

local function count_within(ids, loss)
  local within = 0
  for _, id in ipairs(ids) do
    if is_within(id, loss) then within = within + 1 end
  end
  return within
end

local function ids_of(noted)
  local ids = {}
  for id in string.gmatch(noted.ids, '%S+') do ids[#ids + 1] = id end
  return ids
end

local function count_shared(ids, others)
  local shared, is_other = 0, {}
  for _, id in ipairs(others) do is_other[id] = true end
  for _, id in ipairs(ids) do
    if is_other[id] then shared = shared + 1 end
  end
  return shared
end

-- Whether the range of one loss holds that of another.
local function holds(loss, other)
  return is_within(other.first, loss) and is_within(other.last, loss)
end

-- Return how many of the loss's entries another one, which is noted, has counted.
local function counted_in(loss, noted)
  local entries = tonumber(noted.entries) or 0
  if noted.by == 'group' and loss.ids then return count_within(loss.ids, noted) end
  if noted.ids and loss.ids then return count_shared(loss.ids, ids_of(noted)) end
  if noted.first == loss.first or loss.by == 'group' and holds(loss, noted) then return entries end
  if noted.by == 'group' and holds(noted, loss) then return loss.entries end
  if loss.by ~= 'group' then return 0 end
  if noted.ids then return count_within(ids_of(noted), loss) end
  -- Two counts of a history that is gone may share all that the smaller one has.
  local shares = is_within(noted.first, loss) or is_within(noted.last, loss)
  return loss.why == 'rewound' and shares and entries or 0
end

-- Return how many of the loss's entries had not been noted before. Its fields: group, why, first,
-- last, entries, at; counted: 'exactly', or 'least' for a lower bound; by: 'consumer' for what one
-- consumer was given, 'group' for what all of them were given; ids: of a consumer's entries, or nil.
local function lose(losses, lost, kept_max, loss)
  local known = 0
  for _, entry in ipairs(redis.call('XREVRANGE', losses, '+', '-', 'COUNT', LOOKED_AT)) do
    local noted = fields(entry[2])
    local is_damaged = not is_entry_id(noted.first) or not is_entry_id(noted.last)
    if noted.group == loss.group and noted.why == loss.why and not is_damaged then
      known = known + counted_in(loss, noted)
    end
  end
  local new = loss.entries - known
  if new <= 0 then return 0 end
  local ids = {}
  if loss.ids and #loss.ids <= IDS_KEPT_MAX then ids = {'ids', table.concat(loss.ids, ' ')} end
  redis.call('HINCRBY', lost, loss.group, new)
  redis.call('XADD', losses, 'MAXLEN', '~', kept_max, '*', 'group', loss.group, 'why', loss.why,
    'first', loss.first, 'last', loss.last, 'entries', new, 'counted', loss.counted,
    'by', loss.by, 'at', loss.at, unpack(ids))
  return new
end
