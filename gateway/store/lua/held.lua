#!lua flags=no-writes
-- Tell what holds a shard's memory, in bytes of what was put in.
-- KEYS: events, shard, size of the states of calls, sub of the gateway itself, sub of every known
-- subscriber. Changes nothing.
-- Returns {history and what still waits, digests, states of calls, dead letters of the gateway,
-- then for each subscriber: unread, parked, dead letters}.
local function whole(key, ...)
  local values = redis.call('HMGET', key, ...)
  for i = 1, #values do values[i] = tonumber(values[i]) or 0 end
  return unpack(values)
end
local published = whole(KEYS[2], 'bytes')
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local stream = first and published - (tonumber(first[2][4]) or 0) or 0
local base, digests = string.gsub(KEYS[2], ':shard$', ':seen:'), 0
local flat = redis.call('HGETALL', KEYS[2])
local state = {}
for i = 1, #flat, 2 do state[flat[i]] = flat[i + 1] end
for field, value in pairs(state) do
  local length = string.match(field, '^low:(%d+)$')
  if length then
    local low, last = tonumber(value), tonumber(state['slice:' .. length] or value)
    for index = low, math.min(last, low + 100) do
      digests = digests + redis.call('SCARD', base .. length .. ':' .. string.format('%d', index))
    end
  end
end
local found = {
  stream, digests, tonumber(redis.call('GET', KEYS[3]) or 0), (whole(KEYS[4], 'dead_bytes'))
}
for i = 5, #KEYS do
  local taken, parked, dead = whole(KEYS[i], 'taken_bytes', 'parked_bytes', 'dead_bytes')
  local joined = redis.call('HEXISTS', KEYS[i], 'start_seq') == 1
  found[#found + 1] = joined and math.max(0, published - taken) or 0
  found[#found + 1] = parked
  found[#found + 1] = dead
end
return found
