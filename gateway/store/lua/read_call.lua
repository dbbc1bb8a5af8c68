-- Read one call's state in one moment. KEYS: calls, calls_more. ARGV: <call>, most users.
-- Returns {bookkeeping and JSON, packed JSON of the rest, users as HGETALL gives them}; nothing
-- if the call is unknown.
local state = redis.call('HGET', KEYS[1], ARGV[1])
if not state then return {} end
local users = string.gsub(KEYS[1], 'calls$', '') .. 'users:' .. ARGV[1]
local flat
if redis.call('HLEN', users) <= tonumber(ARGV[2]) then
  flat = redis.call('HGETALL', users)
else
  flat = redis.call('HSCAN', users, 0, 'COUNT', ARGV[2])[2]
end
return {state, redis.call('HGET', KEYS[2], ARGV[1]) or '', flat}
