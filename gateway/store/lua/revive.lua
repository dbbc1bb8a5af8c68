#!lua flags=allow-oom
-- Make dead letters due for delivery again, at once; without ids, the oldest ones.
-- KEYS: sub, dead, dead_at, due, parked. ARGV: now_ms, limit, id ...
-- The letter becomes a parked delivery as it is: that it was buried marks it as revived.
-- Without ids only letters buried up to now_ms are taken, so that a loop over all of them ends.
-- Goes on although memory is full: a letter takes no more room for being due, and none once it is
-- delivered. Returns how many.
local ids = {unpack(ARGV, 3)}
if #ids == 0 then
  ids = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
end
local revived, bytes = 0, 0
for _, id in ipairs(ids) do
  local parcel = redis.call('HGET', KEYS[2], id)
  if parcel and redis.call('ZREM', KEYS[3], id) == 1 then
    redis.call('HDEL', KEYS[2], id)
    redis.call('HSET', KEYS[5], id, parcel)
    redis.call('ZADD', KEYS[4], ARGV[1], id)
    revived, bytes = revived + 1, bytes + #parcel
  end
end
if revived > 0 then
  redis.call('HINCRBY', KEYS[1], 'buried', -revived)
  redis.call('HINCRBY', KEYS[1], 'dead_bytes', -bytes)
  redis.call('HINCRBY', KEYS[1], 'parked_bytes', bytes)
end
return revived
