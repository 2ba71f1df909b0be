-- Refuse before the first write what Redis would refuse at a later one, for a script that is stopped
-- in the middle stays half done.

local LAST_ID = '18446744073709551615-18446744073709551615'

-- Tell whether the account may run the command on the key. Redis 8.0 and newer count the arguments
-- first: the key stands in for those that follow it, as many as the command takes.
local function may_run(command, key)
  local words = {}
  for word in string.gmatch(command, '%S+') do words[#words + 1] = word end
  local is_counted, may
  for _ = 1, 8 do
    words[#words + 1] = key
    is_counted, may = pcall(redis.acl_check_cmd, unpack(words))
    if is_counted then return may end
  end
  error(may)
end

-- Raise unless the account may run all commands on the key.
local function check_rights(key, ...)
  for _, command in ipairs({...}) do
    if not may_run(command, key) then
      error({err = 'NOPERM the account may not run ' .. command .. ' on ' .. key})
    end
    if command == 'XADD' and #redis.call('XRANGE', key, LAST_ID, LAST_ID) > 0 then
      error({err = 'ERR ' .. key .. ' has an entry of the greatest id: nothing can be added'})
    end
  end
end

local SIZE_OF = {
  hash = 'HLEN', set = 'SCARD', ['sorted set'] = 'ZCARD', stream = 'XLEN', string = 'STRLEN',
}

-- Raise unless the key is absent or of that kind, and the account may run all commands on it.
local function check_writes(key, kind, ...)
  redis.call(SIZE_OF[kind], key)
  check_rights(key, ...)
end
