-- Whether a stream has an entry as the event that was read. Needs the part fields.
--
-- An id alone does not tell: two masters that take appends at the same time give the same ids to
-- other events.

-- *known* is an entry id, and after a space the id of its event, if that is known.
local function has_event(stream, known)
  local id, event_id = string.match(known, '^(%S+) ?(.*)$')
  local found = redis.call('XRANGE', stream, id, id)
  if #found == 0 then return false end
  return event_id == '' or fields(found[1][2])['id'] == event_id
end
