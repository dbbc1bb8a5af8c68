#!lua flags=allow-oom
-- Prolong the lease, and tell how much waits.
-- KEYS: events, shard, sub, due. ARGV: name, token, ttl_ms.
-- Also remembers an entry up to which all is settled (`floor_id`): behind it reading goes on if
-- the group is ever destroyed behind our back. An expired lease that nobody took is prolonged like any other.
-- Returns {unread, unread bytes, oldest unread ms or 0, in flight, parked, parked bytes,
-- next due ms or -1}. Errors: FENCED, NOGROUP.
if redis.call('HGET', KEYS[3], 'token') ~= ARGV[2] then
  return redis.error_reply('FENCED the lease is lost')
end
local function predecessor(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if seq == '0' then return string.format('%.0f', ms - 1) .. '-18446744073709551615' end
  return ms .. '-' .. string.format('%.0f', seq - 1)
end
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
local time = redis.call('TIME')
local sub = redis.call('HMGET', KEYS[3], 'taken_seq', 'taken_bytes', 'taken_id', 'parked_bytes')
redis.call('HSET', KEYS[3], 'floor_id', pending[2] and predecessor(pending[2]) or sub[3],
  'expires_ms', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]))
local shard = redis.call('HMGET', KEYS[2], 'published', 'bytes')
local oldest = redis.call('XRANGE', KEYS[1], '(' .. sub[3], '+', 'COUNT', 1)[1]
local due = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
return {
  (tonumber(shard[1]) or 0) - sub[1], (tonumber(shard[2]) or 0) - sub[2],
  oldest and tonumber(string.match(oldest[1], '^%d+')) or 0,
  pending[1], redis.call('ZCARD', KEYS[4]), tonumber(sub[4]) or 0, tonumber(due[2]) or -1,
}
