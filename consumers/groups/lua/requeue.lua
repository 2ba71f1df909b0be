-- Make dead letters pending again in their group, under the ids of their entries.
--
-- KEYS[1]  stream           {ns:P}:events
-- KEYS[2]  stream           {ns:P}:dead:GROUP
-- KEYS[3]  hash, bounded    {ns:P}:requeues:GROUP, entry id -> "<times> <last error>"
-- KEYS[4]  hash             {ns:P}:positions, holder -> entry id
-- KEYS[5]  stream, bounded  {ns:P}:operations
-- ARGV[1]  group
-- ARGV[2]  consumer with which they are pending until another claims them
-- ARGV[3]  idle time to set, in ms
-- ARGV[4]  entries that KEYS[3] holds, at most
-- ARGV[5]  the group's holder
-- ARGV[6]  number of dead letters; then for each: its id, its entry's id, its error
-- then     operations that are kept, about; fields and values of the operation
-- Reply    for each: {"requeued", times}, {"gone"} if it is no longer a dead letter, {"trimmed"}
--          if its entry is not in the log: it stays a dead letter

-- include entry_id
-- include before
-- include check_writes

check_writes(KEYS[1], 'stream', 'XPENDING', 'XCLAIM')
check_writes(KEYS[2], 'stream', 'XDEL')
check_writes(KEYS[3], 'hash', 'HGET', 'HLEN', 'HSET', 'DEL')
check_writes(KEYS[4], 'hash', 'HGET', 'HSET')
check_writes(KEYS[5], 'stream', 'XADD')
local reply, first, last, done = {}, nil, nil, 0
local at = 7
for _ = 1, tonumber(ARGV[6]) do
  local dead_id, id, error = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  if #redis.call('XRANGE', KEYS[2], dead_id, dead_id) == 0 then
    reply[#reply + 1] = {'gone'}
  elseif #redis.call('XRANGE', KEYS[1], id, id) == 0 then
    reply[#reply + 1] = {'trimmed'}
  else
    if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) == 0 then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id,
        'IDLE', ARGV[3], 'RETRYCOUNT', 0, 'FORCE', 'JUSTID')
    end
    redis.call('XDEL', KEYS[2], dead_id)
    local kept = redis.call('HGET', KEYS[4], ARGV[5])
    if is_entry_id(kept) and not is_beyond(id, kept) then
      -- The kept position must lie before an entry that is pending again.
      redis.call('HSET', KEYS[4], ARGV[5], before(id))
    end
    local times = tonumber(string.match(redis.call('HGET', KEYS[3], id) or '', '^%d+') or 0) + 1
    if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[4]) then redis.call('DEL', KEYS[3]) end
    redis.call('HSET', KEYS[3], id, string.format('%d', times) .. ' ' .. error)
    reply[#reply + 1] = {'requeued', times}
    first, last, done = first or id, id, done + 1
  end
end
if done > 0 then
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[at], '*',
    'before', done .. ' dead, ' .. first .. ' to ' .. last, 'after', 'pending',
    unpack(ARGV, at + 1))
end
return reply
