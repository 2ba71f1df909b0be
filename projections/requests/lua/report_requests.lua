-- Count how requests to routes ended, and tell the health checkers which routes had failures.
--
-- A field is `SUCCEEDED FAILED SLICE:SUCCESSES:FAILURES ...`: when a request last succeeded and last
-- failed, by the server's clock in ms, 0 for never, then counts for slices of time, oldest first.
-- Each call looks at a few fields, and removes those of routes without requests for long.
--
-- KEYS[1]  hash, expires      {ns:P}:requests, ENDPOINT:ROUTE -> how its requests ended
-- KEYS[2]  stream, bounded, expires  {ns:P}:failed-requests, ENDPOINT:ROUTE -> failures
-- ARGV[1]  ms of a slice
-- ARGV[2]  slices that are kept; both keys expire after as long without a report
-- ARGV[3]  routes that the hash holds at most
-- ARGV[4]  entries that the stream holds at most
-- ARGV[5], ARGV[6], ARGV[7], ...  ENDPOINT:ROUTE, its successes and failures, for each route; where
--          both are 0 it is suspected: it is told, and not counted
-- Reply    how many routes were not counted because the hash is full

-- include check_writes

local LOOKED_AT = 10

check_writes(KEYS[1], 'hash', 'HMGET', 'HRANDFIELD', 'HDEL', 'HSET', 'PEXPIRE')
check_writes(KEYS[2], 'stream', 'XADD', 'PEXPIRE')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slice_ms, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local slice = math.floor(now / slice_ms)
local old = now - slice_ms * kept

local function whole(number)
  return string.format('%.0f', number)
end

-- Return when the field's route last had a success and a failure, and its slices; none if damaged.
local function read(field)
  local succeeded, failed, slices = string.match(field or '', '^(%d+) (%d+)(.*)$')
  -- What lies in the future is from before the clock was set back: it says nothing.
  succeeded, failed = tonumber(succeeded) or 0, tonumber(failed) or 0
  return succeeded <= now and succeeded or 0, failed <= now and failed or 0, slices or ''
end

-- Return the field with so many successes and failures more.
local function counted(field, successes, failures)
  local succeeded, failed, slices = read(field)
  local own_successes, own_failures, others = successes, failures, {}
  for at, s, f in string.gmatch(slices, ' (%d+):(%d+):(%d+)') do
    if tonumber(at) == slice then
      own_successes, own_failures = own_successes + tonumber(s), own_failures + tonumber(f)
    elseif tonumber(at) < slice and tonumber(at) > slice - kept then
      others[#others + 1] = at .. ':' .. s .. ':' .. f
    end
  end
  others[#others + 1] = table.concat({whole(slice), whole(own_successes), whole(own_failures)}, ':')
  local last = {whole(successes > 0 and now or succeeded), whole(failures > 0 and now or failed)}
  return table.concat(last, ' ') .. ' ' .. table.concat(others, ' ')
end

local looked_at = redis.call('HRANDFIELD', KEYS[1], LOOKED_AT, 'WITHVALUES')
local gone = {}
for place = 1, #looked_at, 2 do
  local succeeded, failed = read(looked_at[place + 1])
  if math.max(succeeded, failed) < old then gone[#gone + 1] = looked_at[place] end
end
local members = {}
for place = 5, #ARGV, 3 do members[#members + 1] = ARGV[place] end
local known = redis.call('HMGET', KEYS[1], unpack(members))
local room = tonumber(ARGV[3]) - redis.call('HLEN', KEYS[1])
local fields, failing, left_out = {}, {}, 0
for number, member in ipairs(members) do
  local successes, failures = tonumber(ARGV[number * 3 + 3]), tonumber(ARGV[number * 3 + 4])
  local is_suspected = successes + failures == 0
  if not is_suspected and not known[number] and room <= 0 then
    left_out = left_out + 1
  elseif not is_suspected then
    if not known[number] then room = room - 1 end
    fields[#fields + 1] = member
    fields[#fields + 1] = counted(known[number], successes, failures)
  end
  if failures > 0 or is_suspected then
    failing[#failing + 1] = member
    failing[#failing + 1] = whole(failures)
  end
end
local expires_ms = whole(slice_ms * kept)
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
redis.call('PEXPIRE', KEYS[1], expires_ms)
if #failing > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[4], '*', unpack(failing))
  redis.call('PEXPIRE', KEYS[2], expires_ms)
end
return left_out
