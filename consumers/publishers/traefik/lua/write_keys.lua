-- Write a configuration in one step, unless another publisher has written since it was read.
--
-- KEYS[1]  string  ROOT/_routestream, "<identity of the log> <revision>"
-- KEYS[2]  ... the keys to set; then the keys to delete
-- ARGV[1]  what KEYS[1] held when the keys were read, '' for nothing
-- ARGV[2]  what it holds from now on
-- ARGV[3]  the channel that Traefik listens to, '' to tell it nothing yet
-- ARGV[4]  ... the values of the keys to set
-- Reply    1 if it was written, 0 if another has written

local STEP = 1000

if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
local sets = #ARGV - 3
for first = 1, sets, STEP do
  local pairs_of = {}
  for place = first, math.min(first + STEP - 1, sets) do
    pairs_of[#pairs_of + 1] = KEYS[1 + place]
    pairs_of[#pairs_of + 1] = ARGV[3 + place]
  end
  redis.call('MSET', unpack(pairs_of))
end
for first = 2 + sets, #KEYS, STEP do
  redis.call('DEL', unpack(KEYS, first, math.min(first + STEP - 1, #KEYS)))
end
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], 'set') end
return 1
