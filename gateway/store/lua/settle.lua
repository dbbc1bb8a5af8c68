#!lua flags=allow-oom
-- Settle a batch of deliveries of one subscriber on one shard. Safe to repeat after an unknown
-- outcome: every step hangs on an XACK or ZREM that finds its entry, and so do the counters.
-- KEYS: events, sub, due, parked, dead, dead_at.
-- ARGV: name, token, seven counts, and then that many of each, in this order:
--   from the stream: delivered (id), unmatched (id), parked (id, due_ms, parcel),
--   buried (id, buried_ms, parcel); from the parked: delivered (id), parked again
--   (id, due_ms, parcel), buried (id, buried_ms, parcel).
-- Returns how many were new, in the same order. Errors: FENCED; NOGROUP, when the group has been
-- destroyed: what is read under it is not settled, and will be read again.
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[2] then
  return redis.error_reply('FENCED the lease is lost')
end
local sub, due, parked, dead, dead_at = KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local at = 10
local grown = {parked_bytes = 0, dead_bytes = 0}

local function ack(count)
  local done, stop = 0, at + count
  while at < stop do
    local last = math.min(at + 999, stop - 1)
    done = done + redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, at, last))
    at = last + 1
  end
  return done
end

local function park(id, due_ms, parcel)
  redis.call('HSET', parked, id, parcel)
  redis.call('ZADD', due, due_ms, id)
  grown.parked_bytes = grown.parked_bytes + #parcel
end

local function bury(id, buried_ms, parcel)
  redis.call('HSET', dead, id, parcel)
  redis.call('ZADD', dead_at, buried_ms, id)
  grown.dead_bytes = grown.dead_bytes + #parcel
end

local function unpark(id)
  if redis.call('ZREM', due, id) == 0 then return false end
  grown.parked_bytes = grown.parked_bytes - redis.call('HSTRLEN', parked, id)
  redis.call('HDEL', parked, id)
  return true
end

local function acked(id) return redis.call('XACK', KEYS[1], ARGV[1], id) == 1 end

local function each(count, width, leave, arrive)
  local done = 0
  for _ = 1, count do
    if leave(ARGV[at]) then
      done = done + 1
      if arrive then arrive(ARGV[at], ARGV[at + 1], ARGV[at + 2]) end
    end
    at = at + width
  end
  return done
end

local n = {}
for i = 1, 7 do n[i] = tonumber(ARGV[i + 2]) end
local done = {
  ack(n[1]), ack(n[2]), each(n[3], 3, acked, park), each(n[4], 3, acked, bury),
  each(n[5], 1, unpark), each(n[6], 3, unpark, park), each(n[7], 3, unpark, bury),
}
local function count(field, by)
  if by ~= 0 then redis.call('HINCRBY', sub, field, string.format('%.0f', by)) end
end
count('delivered', done[1] + done[5])
count('unmatched', done[2])
count('buried', done[4] + done[7])
count('parked_bytes', grown.parked_bytes)
count('dead_bytes', grown.dead_bytes)
local read = n[1] + n[2] + n[3] + n[4]
if read > 0 and done[1] + done[2] + done[3] + done[4] == 0
  and redis.pcall('XPENDING', KEYS[1], ARGV[1]).err then
  return redis.error_reply('NOGROUP the group has been destroyed')
end
return done
