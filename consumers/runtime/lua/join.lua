-- Make a consumer known to its group, and heard of.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  group
-- ARGV[2]  consumer
-- Reply    nil

-- include heard

be_heard_of(KEYS[1], ARGV[1], ARGV[2])
