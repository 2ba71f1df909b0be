-- Register a consumer and refresh its idle time: before Redis 7.2 a read that finds nothing does
-- neither. Reading its own pending entries after the greatest id delivers nothing.

local function touch_consumer(stream, group, consumer)
  local greatest = '18446744073709551615-0'  -- the very greatest id would mean '>'
  redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', stream, greatest)
end
