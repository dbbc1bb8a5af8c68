#!lua flags=allow-oom
-- Have a subscriber begin with the first entry of a shard, every entry of which is for it: the
-- shard was emptied, and whoever made the group since has skipped what was published before.
-- KEYS: events, shard, sub, due. ARGV: name. Safe to repeat.
-- It starts at 0 ever after. What it has read and reads again is counted in `repeats`. Entries
-- that it has skipped and history has let go nobody can read: the ledger is short of as many.
-- Whoever has the lease takes it anew. Returns 1 if there was anything to set back, else 0.
local function number_of(key, field) return tonumber(redis.call('HGET', key, field) or 0) or 0 end
local function exact(n) return string.format('%.0f', n) end

local skipped = number_of(KEYS[3], 'start_seq')
if skipped == 0 then return 0 end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local gone, offset = number_of(KEYS[2], 'published'), number_of(KEYS[2], 'bytes')
if first then gone, offset = (tonumber(first[2][2]) or 1) - 1, tonumber(first[2][4]) or 0 end
redis.call('HSET', KEYS[3], 'start_seq', 0)
if gone >= skipped then return 1 end  -- none of them is there any more

redis.pcall('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0-0', 'MKSTREAM')
local repeats = number_of(KEYS[3], 'delivered') + number_of(KEYS[3], 'unmatched')
  + number_of(KEYS[3], 'buried') + number_of(KEYS[3], 'discarded') + redis.call('ZCARD', KEYS[4])
redis.call('HSET', KEYS[3], 'taken_seq', exact(gone), 'taken_bytes', exact(offset),
  'taken_id', '0-0', 'floor_id', '0-0', 'repeats', exact(repeats),
  'token', exact(number_of(KEYS[3], 'token') + 1))
return 1
