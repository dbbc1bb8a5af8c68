-- Read how calls name one user. KEYS: calls. ARGV: user, <call> ...
-- Returns {flags and JSON, or nil} for each call.
local base = string.gsub(KEYS[1], 'calls$', 'users:')
local found = {}
for i = 2, #ARGV do found[#found + 1] = redis.call('HGET', base .. ARGV[i], ARGV[1]) end
return found
