#!lua flags=allow-oom
-- Make a subscriber known, if it is not, also on a full engine: it has its groups already, and
-- until it is known nobody starts to deliver.
-- KEYS: subscribers. ARGV: name, JSON of its state. Returns 1, or 0 for one that is known.
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
