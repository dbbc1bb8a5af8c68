#!lua flags=allow-oom
-- Give the lease back, if it is still ours. KEYS: sub. ARGV: token. Returns 1 or 0.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'holder', '', 'expires_ms', 0)
return 1
