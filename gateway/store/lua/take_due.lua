#!lua flags=allow-oom
-- Take parked deliveries that are due, and hide them for the time of an attempt: if whoever
-- took them dies, they are due again by themselves.
-- KEYS: sub, due, parked. ARGV: token, from_ms, hidden_until_ms, limit.
-- With from_ms `farthest` those are taken whose turn is the farthest away, due or not.
-- Returns {next due ms or -1, id, parcel, id, parcel ...}. Error: FENCED.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is lost')
end
local ids
if ARGV[2] == 'farthest' then
  ids = redis.call('ZREVRANGE', KEYS[2], 0, ARGV[4] - 1)
else
  ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[2], 'LIMIT', 0, ARGV[4])
end
local taken = {-1}
for _, id in ipairs(ids) do
  redis.call('ZADD', KEYS[2], ARGV[3], id)
  taken[#taken + 1] = id
  taken[#taken + 1] = redis.call('HGET', KEYS[3], id)
end
local next = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
taken[1] = tonumber(next[2]) or -1
return taken
