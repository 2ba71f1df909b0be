-- Register a consumer with its group and refresh its idle time.
--
-- KEYS[1]  stream  {ns:P}:events
-- ARGV[1]  group
-- ARGV[2]  consumer
-- Reply    nil

-- include touch_consumer

touch_consumer(KEYS[1], ARGV[1], ARGV[2])
