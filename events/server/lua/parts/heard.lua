-- Let a consumer be known, and heard of: before Redis 7.2 a read that finds nothing does neither.
-- A look at what is pending with it, from behind where that can be, gives it nothing.

local function be_heard_of(stream, group, consumer)
  local behind = '18446744073709551615-0'  -- Redis takes the greatest id of all for '>'
  redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', stream, behind)
end
