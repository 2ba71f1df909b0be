-- Compare what is known of a group with what the server says; register the consumer, and refresh its
-- idle time.
--
-- KEYS[1]  stream           {ns:P}:events
-- KEYS[2]  hash             {ns:P}:positions, holder -> entry id
-- KEYS[3]  string           {ns:P}:delivered:GROUP
-- KEYS[4]  stream, bounded  {ns:P}:losses
-- KEYS[5]  hash             {ns:P}:lost, group -> entries it ever lost
-- ARGV[1]  group
-- ARGV[2]  its holder
-- ARGV[3]  consumer
-- ARGV[4]  the newest entry that the consumer remembers, see has_event, '' for none
-- ARGV[5]  losses that are kept, approximately
-- ARGV[6]  when, RFC 3339
-- Reply    see the part check_history

-- include before
-- include check_writes
-- include entry_id
-- include fields
-- include has_event
-- include delivered
-- include lose
-- include stand
-- include touch_consumer
-- include check_history

local keys = {
  stream = KEYS[1], positions = KEYS[2], delivered = KEYS[3], losses = KEYS[4], lost = KEYS[5]
}
check_checks(keys)
local names = {group = ARGV[1], holder = ARGV[2], consumer = ARGV[3], newest = ARGV[4]}
return check_history(keys, names, ARGV[5], ARGV[6])
