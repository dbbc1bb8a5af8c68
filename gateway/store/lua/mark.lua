#!lua flags=allow-oom
-- Write a mark, also on a full engine: to move to a larger one is a way out.
-- KEYS: mark. ARGV: JSON of it.
return redis.call('SET', KEYS[1], ARGV[1])
