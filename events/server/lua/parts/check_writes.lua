-- Refuse before the first write what Redis would refuse at a later one, for a script that is stopped
-- in the middle stays half done.

local LAST_ID = '18446744073709551615-18446744073709551615'

-- Raise unless the account may run all commands on the key.
local function check_rights(key, ...)
  for _, command in ipairs({...}) do
    local may_run
    if string.find(command, ' ', 1, true) then
      local name, subcommand = string.match(command, '^(%S+) (%S+)$')
      may_run = redis.acl_check_cmd(name, subcommand, key)
    else
      may_run = redis.acl_check_cmd(command, key)
    end
    if not may_run then
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
