#!lua flags=allow-oom
-- Delete dead letters on command; without ids, the oldest ones.
-- KEYS: sub, dead, dead_at. ARGV: now_ms, limit, id ...
-- Counted as discarded. Without ids only letters buried up to now_ms. Returns how many.
local ids = {unpack(ARGV, 3)}
if #ids == 0 then
  ids = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
end
local purged, bytes = 0, 0
for _, id in ipairs(ids) do
  if redis.call('ZREM', KEYS[3], id) == 1 then
    bytes = bytes + redis.call('HSTRLEN', KEYS[2], id)
    redis.call('HDEL', KEYS[2], id)
    purged = purged + 1
  end
end
if purged > 0 then
  redis.call('HINCRBY', KEYS[1], 'buried', -purged)
  redis.call('HINCRBY', KEYS[1], 'discarded', purged)
  redis.call('HINCRBY', KEYS[1], 'dead_bytes', -bytes)
end
return purged
