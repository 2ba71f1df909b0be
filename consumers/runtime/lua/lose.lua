-- Note a loss once, whoever finds it, and however often.
--
-- KEYS[1]  stream, bounded  {ns:P}:losses
-- KEYS[2]  hash             {ns:P}:lost, group -> entries it ever lost
-- ARGV[1]  entries of the stream that are kept, approximately
-- ARGV[2]  group
-- ARGV[3]  why
-- ARGV[4]  first entry id
-- ARGV[5]  last entry id
-- ARGV[6]  entries
-- ARGV[7]  when, RFC 3339
-- Reply    entries that had not been noted before

-- include check_writes
-- include fields

local LOOKED_AT = 100

check_writes(KEYS[1], 'stream', 'XADD')
local known = 0
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', LOOKED_AT)) do
  local about = fields(entry[2])
  if about['group'] == ARGV[2] and about['why'] == ARGV[3] and about['first'] == ARGV[4] then
    known = known + tonumber(about['entries'])
  end
end

local new = tonumber(ARGV[6]) - known
if new <= 0 then return 0 end
redis.call('HINCRBY', KEYS[2], ARGV[2], new)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'group', ARGV[2], 'why', ARGV[3],
  'first', ARGV[4], 'last', ARGV[5], 'entries', new, 'at', ARGV[7])
return new
