-- Whether an entry was trimmed from its stream; needs the part entry_id. A claim of an entry that is
-- not in its stream would remove it from the pending entries, although its owner has it in memory.

local function first_entry(stream)
  local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  return first and first[1]
end

local function is_trimmed(id, first)
  return not first or is_beyond(first, id)
end
