#!lua flags=allow-oom
-- Make sure that a subscriber has its group on this shard; safe to repeat.
-- KEYS: events, shard, sub, due. ARGV: name, start (now or earliest).
-- A new subscriber starts behind the last entry (now) or before the first (earliest). One whose
-- group vanished behind our back goes on from the last place before which all was settled, never
-- from the end: what is read again is counted in `repeats`, so the ledger still adds up.
-- Returns new, healed or there.
local function number_of(key, field) return tonumber(redis.call('HGET', key, field) or 0) or 0 end
local function exact(n) return string.format('%.0f', n) end

-- The number and the offset at which reading from behind `id` starts.
local function place_after(id)
  local nearest = redis.call('XRANGE', KEYS[1], '(' .. id, '+', 'COUNT', 1)[1]
  if nearest then return tonumber(nearest[2][2]) - 1, tonumber(nearest[2][4]) end
  return number_of(KEYS[2], 'published'), number_of(KEYS[2], 'bytes')
end

local known = redis.call('HMGET', KEYS[3], 'start_seq', 'floor_id')
local exists = not redis.pcall('XPENDING', KEYS[1], ARGV[1]).err
if exists and known[1] then return 'there' end
if not known[1] then
  local id = '0-0'
  if ARGV[2] == 'now' then
    local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
    if last then id = last[1] end
  end
  if exists then
    redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], id)
  else
    redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], id, 'MKSTREAM')
  end
  local seq, offset = place_after(id)
  redis.call('HSET', KEYS[3], 'start_seq', exact(seq), 'taken_seq', exact(seq),
    'taken_bytes', exact(offset), 'taken_id', id, 'floor_id', id)
  return 'new'
end

local floor = known[2]
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], floor, 'MKSTREAM')

local taken = number_of(KEYS[3], 'taken_seq')
local settled = number_of(KEYS[3], 'delivered') + number_of(KEYS[3], 'unmatched')
  + number_of(KEYS[3], 'buried') + number_of(KEYS[3], 'discarded')
local outstanding = taken - tonumber(known[1]) + number_of(KEYS[3], 'repeats')
  - settled - redis.call('ZCARD', KEYS[4])
local seq, offset = place_after(floor)
redis.call('HINCRBY', KEYS[3], 'repeats', exact(taken - seq - outstanding))
redis.call('HSET', KEYS[3], 'taken_seq', exact(seq), 'taken_bytes', exact(offset),
  'taken_id', floor)
return 'healed'
