-- Note a loss once, whoever finds it, and however often.
--
-- KEYS[1]  stream, bounded  {ns:P}:losses
-- KEYS[2]  hash             {ns:P}:lost, group -> entries it ever lost
-- ARGV[1]  losses that are kept, approximately
-- ARGV[2]  group
-- ARGV[3]  why
-- ARGV[4]  first entry id
-- ARGV[5]  last entry id
-- ARGV[6]  entries
-- ARGV[7]  "exactly", or "least" if there are at least so many
-- ARGV[8]  "consumer" or "group": whose entries they are
-- ARGV[9]  when, RFC 3339
-- ARGV[10] ... the ids of a consumer's entries; none if they are not known
-- Reply    entries that had not been noted before

-- include check_writes
-- include entry_id
-- include fields
-- include lose

check_lose(KEYS[1], KEYS[2])
local ids = #ARGV > 9 and {} or nil
for at = 10, #ARGV do ids[at - 9] = ARGV[at] end
return lose(KEYS[1], KEYS[2], ARGV[1], {
  group = ARGV[2], why = ARGV[3], first = ARGV[4], last = ARGV[5], entries = tonumber(ARGV[6]),
  counted = ARGV[7], by = ARGV[8], at = ARGV[9], ids = ids
})
