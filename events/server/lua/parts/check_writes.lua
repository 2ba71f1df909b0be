-- Refuse before the first write what Redis would refuse at a later one, for a script that is stopped
-- in the middle stays half done.

local SIZE_OF = {
  hash = 'HLEN', set = 'SCARD', stream = 'XLEN', string = 'STRLEN', ['sorted set'] = 'ZCARD'
}
local LAST_ID = '18446744073709551615-18446744073709551615'

-- Raise unless the key is absent or of that kind, and the account may run all commands on it.
local function check_writes(key, kind, ...)
  redis.call(SIZE_OF[kind], key)
  for _, command in ipairs({...}) do
    local words = {}
    for word in string.gmatch(command, '%S+') do words[#words + 1] = word end
    words[#words + 1] = key
    if not redis.acl_check_cmd(unpack(words)) then
      error({err = 'NOPERM the account may not run ' .. command .. ' on ' .. key})
    end
    if command == 'XADD' and #redis.call('XRANGE', key, LAST_ID, LAST_ID) > 0 then
      error({err = 'ERR ' .. key .. ' has an entry of the greatest id: nothing can be added'})
    end
  end
end
