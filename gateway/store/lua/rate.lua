#!lua
-- Counts one more of what may come so fast and no faster, by the engine's own clock.
-- The key holds when a steady stream of what was counted would have come to its end, in
-- microseconds; that may lie ahead of now, but by no more than a burst.
-- KEYS: the rate. ARGV: microseconds for each one, and for a burst.
-- Returns for how many microseconds to wait; 0: it is counted.
local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ahead = (tonumber(redis.call('GET', KEYS[1]) or 0)) - now
-- Further than that is a clock that was set back, or a bound that was lowered.
ahead = math.min(math.max(ahead, 0), burst)
local wait = ahead + each - burst
if wait > 0 then
  return math.ceil(wait)
end
redis.call('SET', KEYS[1], string.format('%.0f', now + ahead + each),
  'PX', math.ceil((ahead + each) / 1000))
return 0
