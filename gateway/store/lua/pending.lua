#!lua flags=no-writes
-- Read which entries a group has read and not settled, oldest first.
-- KEYS: events. ARGV: group, id to begin with, count.
-- Returns {id, consumer, ms since, times} of each.
return redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], '+', ARGV[3])
