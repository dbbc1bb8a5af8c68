#!lua flags=allow-oom
-- Tell where a shard ends, so that a reader can go on from there and miss nothing.
--
-- KEYS  1 events stream, 2 shard hash
-- ARGV  1 fresh epoch, taken when the shard has none
-- Reply {epoch, number of the last entry, id of the last entry, "0-0" when there is none}
redis.call('HSETNX', KEYS[2], 'epoch', ARGV[1])
local state = redis.call('HMGET', KEYS[2], 'epoch', 'published')
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {state[1], tonumber(state[2] or 0), last and last[1] or '0-0'}
