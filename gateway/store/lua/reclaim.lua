#!lua flags=allow-oom
-- Read again what an earlier holder took and did not settle, oldest first.
-- KEYS: events, sub. ARGV: name, token, cursor, count.
-- All holders read as the one consumer `gateway`: the lease keeps them apart, and no dead
-- consumer is ever left behind. Claiming also catches what a foreign consumer may have taken.
-- Returns {next cursor, entries, ids whose entry is gone}. Errors: FENCED, NOGROUP.
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[2] then
  return redis.error_reply('FENCED the lease is lost')
end
return redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], 'gateway', 0, ARGV[3], 'COUNT', ARGV[4])
