-- What one call asks of several shards: for each of them what `run` is, the script before this.
--
-- ARGV  for each shard: how many arguments and how many keys it has, then its keys, its arguments
-- Reply a list: for each shard what the script replies
-- The keys are not declared: only where all shards lie on one server may this be called.
local replies, at = {}, 1
while at <= #ARGV do
  local n, k = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local keys, argv = {}, {}
  for i = 1, k do keys[i] = ARGV[at + 1 + i] end
  for i = 1, n do argv[i] = ARGV[at + 1 + k + i] end
  replies[#replies + 1] = run(keys, argv)
  at = at + 2 + k + n
end
return replies
