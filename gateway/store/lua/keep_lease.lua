#!lua flags=allow-oom
-- Take the lease of the keeper of call states on a shard, if it is free, expired or the holder's.
-- KEYS: sub. ARGV: holder, ttl_ms, and names that are the holder's as well.
-- The token grows with every acquisition, also over a flush or a failover: it follows the clock.
-- Returns {token, 0}, or {0, ms to wait} while somebody else holds it.
local lease = redis.call('HMGET', KEYS[1], 'token', 'holder', 'expires_ms')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = lease[2] and lease[2] ~= '' and lease[2] ~= ARGV[1]
for i = 3, #ARGV do held = held and lease[2] ~= ARGV[i] end
-- No lease is that long: the server before had another clock, by which nobody is to wait.
if held and tonumber(lease[3]) > now + 120000 then held = false end
if held and tonumber(lease[3]) > now then return {0, tonumber(lease[3]) - now} end
local token = math.max((tonumber(lease[1]) or 0) + 1, now)
redis.call('HSET', KEYS[1], 'token', string.format('%.0f', token), 'holder', ARGV[1],
  'expires_ms', string.format('%.0f', now + ARGV[2]))
return {token, 0}
