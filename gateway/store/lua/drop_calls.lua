#!lua flags=allow-oom
-- Forget the state of calls: those that are named, or else those that are beyond a bound.
-- KEYS: calls, calls_more, calls_at, calls_size.
-- ARGV: oldest_ms, max_calls, max_bytes, limit, <call> ...
-- Without names the longest untouched go: all that last changed before oldest_ms, and as many as
-- there are too many, or too large together. Returns how many went; as many as limit: there may
-- be more.
local base = string.gsub(KEYS[1], 'calls$', '')
local function drop(call)
  local zero = string.find(call, '\0', 1, true)
  local app, cid = string.sub(call, 1, zero - 1), string.sub(call, zero + 1)
  local users = base .. 'users:' .. call
  local bytes = redis.call('HSTRLEN', KEYS[1], call) + redis.call('HSTRLEN', KEYS[2], call)
    + 2 * #call
  local flat = redis.call('HGETALL', users)
  for i = 1, #flat, 2 do
    redis.call('SREM', base .. 'named:' .. app .. '\0' .. flat[i], cid)
    bytes = bytes + 2 * #flat[i] + #flat[i + 1]
  end
  redis.call('UNLINK', users)
  redis.call('HDEL', KEYS[2], call)
  redis.call('ZREM', KEYS[3], call)
  redis.call('ZREM', base .. 'calls_of:' .. app, cid)
  if redis.call('HDEL', KEYS[1], call) == 0 then return 0, 0 end
  return 1, bytes
end

local calls = {unpack(ARGV, 5)}
local named = #calls > 0
local count, held = redis.call('ZCARD', KEYS[3]), tonumber(redis.call('GET', KEYS[4]) or 0)
if not named then
  local oldest = redis.call('ZRANGE', KEYS[3], 0, ARGV[4] - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do calls[#calls + 1] = {oldest[i], tonumber(oldest[i + 1])} end
end
local dropped, freed = 0, 0
for _, call in ipairs(calls) do
  if not named then
    local young = call[2] >= tonumber(ARGV[1])
    local fits = count - dropped <= tonumber(ARGV[2]) and held - freed <= tonumber(ARGV[3])
    if young and fits then break end
    call = call[1]
  end
  local gone, bytes = drop(call)
  dropped, freed = dropped + gone, freed + bytes
end
if freed ~= 0 then redis.call('DECRBY', KEYS[4], string.format('%.0f', freed)) end
return dropped
