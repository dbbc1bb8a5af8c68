#!lua flags=allow-oom
-- Remove everything of a subscriber on one shard. KEYS: events, sub, and its other keys.
-- ARGV: name. Safe to repeat. Returns 1 if it had a group here.
local destroyed = redis.pcall('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
redis.call('UNLINK', unpack(KEYS, 2))
return destroyed == 1 and 1 or 0
