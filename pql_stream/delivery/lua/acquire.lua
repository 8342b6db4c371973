-- KEYS: the times of the last calls, in microseconds, oldest first. ARGV: calls in a period, period in
-- microseconds, tokens. Gives the microseconds to wait; 0: the calls are counted.

local calls, period_us, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call("TIME")
local now_us = clock[1] * 1000000 + clock[2]

-- A clock that was set back would make everybody wait for the time it was set back by. Moved back with it, the last
-- call was just now, and no call was ever later than it is taken to be.
local last_us = tonumber(redis.call("LINDEX", KEYS[1], -1) or "0")
if last_us > now_us then
  local times_us = redis.call("LRANGE", KEYS[1], 0, -1)
  redis.call("DEL", KEYS[1])
  for _, time_us in ipairs(times_us) do
    redis.call("RPUSH", KEYS[1], string.format("%.0f", time_us - (last_us - now_us)))
  end
end

-- The call that must have left the window before the last of ours fits in.
local at = redis.call("LLEN", KEYS[1]) + tokens - calls - 1
if at >= 0 then
  local wait_us = redis.call("LINDEX", KEYS[1], at) + period_us - now_us
  if wait_us > 0 then
    return wait_us
  end
end
for _ = 1, tokens do
  redis.call("RPUSH", KEYS[1], string.format("%.0f", now_us))
end
redis.call("LTRIM", KEYS[1], -calls, -1)
redis.call("PEXPIRE", KEYS[1], math.ceil(period_us / 1000) + 1)
return 0
