-- Keep the position of a group: before its oldest pending entry, or at its last delivered one.
--
-- KEYS[1]  stream  {ns:P}:events
-- KEYS[2]  hash    {ns:P}:positions, holder -> entry id
-- ARGV[1]  group
-- ARGV[2]  its holder
-- Reply    the entry id that is kept now

-- include before
-- include check_writes
-- include entry_id
-- include fields
-- include stand

return stand(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
