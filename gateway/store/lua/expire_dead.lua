#!lua flags=allow-oom
-- Drop dead letters that are too old or, oldest first, beyond the bound in bytes.
-- KEYS: sub, dead, dead_at. ARGV: oldest_ms, max_bytes, limit.
-- They stay counted as buried, which they were; `expired` says how many are no longer kept.
-- Returns how many were dropped; as many as limit: there may be more.
local function drop(id)
  local bytes = redis.call('HSTRLEN', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
  redis.call('HDEL', KEYS[2], id)
  return bytes
end
local held = tonumber(redis.call('HGET', KEYS[1], 'dead_bytes') or 0)
local dropped, bytes = 0, 0
local oldest = redis.call('ZRANGE', KEYS[3], 0, ARGV[3] - 1, 'WITHSCORES')
for i = 1, #oldest, 2 do
  local young = tonumber(oldest[i + 1]) >= tonumber(ARGV[1])
  if young and held - bytes <= tonumber(ARGV[2]) then break end
  bytes = bytes + drop(oldest[i])
  dropped = dropped + 1
end
if dropped > 0 then
  redis.call('HINCRBY', KEYS[1], 'expired', dropped)
  redis.call('HINCRBY', KEYS[1], 'dead_bytes', -bytes)
end
return dropped
