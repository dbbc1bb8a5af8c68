#!lua flags=allow-oom
-- Write down what a known subscriber is to do, also on a full engine: resuming one, or forgetting
-- it, is how room comes to be made.
-- KEYS: subscribers. ARGV: name, JSON of its state. Returns 1, or 0 for a name nobody knows.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
