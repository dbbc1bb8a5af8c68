#!lua flags=allow-oom
-- Write fields of a hash, also on a full engine: a few words without which nobody could begin to
-- work there, and so none of what fills it could go.
-- KEYS: hash. ARGV: field, value ... Returns how many fields are new.
return redis.call('HSET', KEYS[1], unpack(ARGV))
