-- Tell which of some entries are not in a stream.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  ... entries, some thousands at most; each an entry id, and after a space the id of its
--          event, if that is known
-- Reply    the entry ids of those that are not there, or are other events now

-- include fields
-- include has_event

local missing = {}
for _, known in ipairs(ARGV) do
  if not has_event(KEYS[1], known) then
    missing[#missing + 1] = string.match(known, '^%S+')
  end
end
return missing
