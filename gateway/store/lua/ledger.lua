-- Read one subscriber's side of the ledger on one shard, in one moment.
-- KEYS: events, shard, sub, due. ARGV: name. Changes nothing.
-- Returns {published, start_seq, taken_seq, in flight, parked, unmatched, delivered, buried,
-- discarded, repeats, expired}; start_seq -1: not joined here.
local function whole(key, ...)
  local values = redis.call('HMGET', key, ...)
  for i = 1, #values do values[i] = tonumber(values[i]) or 0 end
  return values
end
local published = whole(KEYS[2], 'published')[1]
if redis.call('HEXISTS', KEYS[3], 'start_seq') == 0 then
  return {published, -1, 0, 0, 0, unpack(whole(KEYS[3], 'unmatched', 'delivered', 'buried',
    'discarded', 'repeats', 'expired'))}
end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local place = whole(KEYS[3], 'start_seq', 'taken_seq')
return {
  published, place[1], place[2], not pending.err and pending[1] or 0,
  redis.call('ZCARD', KEYS[4]), unpack(whole(KEYS[3], 'unmatched', 'delivered', 'buried',
    'discarded', 'repeats', 'expired')),
}
