#!lua flags=allow-oom
-- Say that a holder is there, for a while, and learn who else is.
-- KEYS: holders. ARGV: holder and whom it serves, ttl_ms (0: it leaves).
-- Returns what all say that are there.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))
-- Nobody says so for that long: the server before had another clock.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + 120000), '+inf')
return redis.call('ZRANGE', KEYS[1], 0, -1)
