-- Compare what is known of a group with what the server says, and note what it will not be given.
-- Needs the parts before, check_writes, delivered, entry_id, fields, has_event, lose, stand and
-- touch_consumer.
--
-- Up to where a group was delivered is recorded before and after each read: what was delivered since
-- is pending, so what is not pending was passed over. Its position is kept in each step that ends an
-- entry: the first entry after it was delivered and not ended, so it is pending, too.

local COUNTED_MAX = 10000

-- Refuse what `check_history` would be refused, before the script's first write.
local function check_checks(keys)
  check_stand(keys.stream, keys.positions)
  check_writes(keys.delivered, 'string', 'GET', 'SET')
  check_writes(keys.stream, 'stream', 'XRANGE')
  check_lose(keys.losses, keys.lost)
end

local function count_range(stream, from, to)
  return #redis.call('XRANGE', stream, from, to, 'COUNT', COUNTED_MAX)
end

-- Entries that were removed before the group was given them: why, last, entries or -1 if unknown.
local function removed_unread(stream, about, group, known)
  local added, length, read = about['entries-added'], about['length'], group['entries-read']
  local delivered, deleted = group['last-delivered-id'], about['max-deleted-entry-id']
  local first = about['first-entry'] and about['first-entry'][1] or about['last-generated-id']
  if added == length then return nil end
  if is_beyond(first, delivered) then
    return 'trimmed', first, read and added - length - read or -1
  end
  if is_beyond(deleted, delivered) and not (known and known.removed == added - length) then
    local after = count_range(stream, '(' .. delivered, '+')
    return 'deleted', deleted, read and after < COUNTED_MAX and added - read - after or -1
  end
end

-- What lies between two places up to which a group was delivered: entries there that are not
-- pending, and how many are gone without having been given to it, nil if that is not known.
local function between(stream, about, group, known)
  local delivered, offset = group['last-delivered-id'], offset_of(about, group)
  local total = offset and known.offset and offset - known.offset
  local given = group['pending'] - known.pending
  local read = group['entries-read'] and known.read and group['entries-read'] - known.read
  if read == given and (not total or total == given) then return 0, 0 end
  local from = '(' .. known.id
  local there = count_range(stream, from, delivered)
  local pending = #redis.call('XPENDING', stream, group['name'], from, delivered, COUNTED_MAX)
  local passed_over = math.max(0, there - pending)
  if there >= COUNTED_MAX or pending >= COUNTED_MAX then total = nil end
  return passed_over, total and math.max(0, total - pending - passed_over)
end

-- Return what had not been noted before, each {why, first, last, entries, counted}, and the facts
-- {delivered, recorded or nil, last, first or nil, entries delivered that are there or nil, 1 if the
-- entry names.newest, '' for none, is there (see has_event), entries ever appended}.
local function check_history(keys, names, kept_max, at)
  touch_consumer(keys.stream, names.group, names.consumer)
  local about = fields(redis.call('XINFO', 'STREAM', keys.stream))
  local group = about_group(keys.stream, names.group)
  local delivered, last = group['last-delivered-id'], about['last-generated-id']
  local known = recorded(keys.delivered)
  local found = {}

  local function note(why, from, to, entries)
    local counted = entries > 0 and entries < COUNTED_MAX and 'exactly' or 'least'
    local new = lose(keys.losses, keys.lost, kept_max, {
      group = names.group, why = why, first = from, last = to, entries = math.max(1, entries),
      counted = counted, by = 'group', at = at
    })
    if new > 0 then found[#found + 1] = {why, from, to, new, counted} end
  end

  local why, to, entries = removed_unread(keys.stream, about, group, known)
  if why and entries ~= 0 then note(why, delivered, to, entries) end

  if known and is_beyond(delivered, known.id) then
    local passed_over, gone = between(keys.stream, about, group, known)
    if gone and gone > 0 then
      local was = is_beyond(about['max-deleted-entry-id'], known.id) and 'deleted' or 'trimmed'
      note(was, known.id, delivered, gone)
    end
    if passed_over > 0 then
      local first = redis.call('XRANGE', keys.stream, '(' .. known.id, delivered, 'COUNT', 1)[1][1]
      note('passed over', first, delivered, passed_over)
      stand(keys.stream, keys.positions, names.group, names.holder)
    end
  end

  local kept = redis.call('HGET', keys.positions, names.holder)
  local up_to = known and is_beyond(known.id, delivered) and delivered or known and known.id
  if up_to and is_entry_id(kept) and is_beyond(up_to, kept) then
    local next = redis.call('XRANGE', keys.stream, '(' .. kept, up_to, 'COUNT', 1)[1]
    -- After removals another entry, which is gone, may have been the oldest pending one.
    local is_sure = next and (before(next[1]) == kept or about['entries-added'] == about['length'])
    if is_sure and #redis.call('XPENDING', keys.stream, names.group, next[1], next[1], 1) == 0 then
      note('dropped', next[1], up_to, -1)
      stand(keys.stream, keys.positions, names.group, names.holder)
    end
  end

  if not known then stand(keys.stream, keys.positions, names.group, names.holder) end
  record(keys.delivered, about, group, known)
  local there = group['lag'] and about['length'] - group['lag'] or false
  if not is_beyond(last, delivered) then there = about['length'] end
  local first = about['first-entry'] and about['first-entry'][1] or false
  local has_newest = names.newest == '' or has_event(keys.stream, names.newest)
  local facts = {delivered, known and known.id or false, last, first, there}
  facts[6], facts[7] = has_newest and 1 or 0, about['entries-added']
  return {found, facts}
end
