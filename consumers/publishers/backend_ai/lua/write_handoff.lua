-- Write the keys of one endpoint in one step, so that no reader finds a part of them.
--
-- KEYS[1]  ... the keys to set; then the keys to delete
-- ARGV[1]  seconds after which the keys expire
-- ARGV[2]  ... the values of the keys to set
-- Reply    the number of keys set

local sets = #ARGV - 1
for place = 1, sets do
  redis.call('SET', KEYS[place], ARGV[1 + place], 'EX', ARGV[1])
end
for place = 1 + sets, #KEYS do
  redis.call('DEL', KEYS[place])
end
return sets
