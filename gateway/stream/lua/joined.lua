-- What one call asks of several shards: for each of them what `run` is, the script before this.
--
-- KEYS  those of the shards, one shard behind the other
-- ARGV  for each shard: how many arguments and how many keys it has, then its arguments
-- Reply a list: for each shard what the script replies
local replies, at, k = {}, 1, 0
while at <= #ARGV do
  local n, own, keys, argv = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), {}, {}
  for i = 1, own do keys[i] = KEYS[k + i] end
  for i = 1, n do argv[i] = ARGV[at + 1 + i] end
  replies[#replies + 1] = run(keys, argv)
  at, k = at + 2 + n, k + own
end
return replies
