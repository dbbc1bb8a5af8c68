-- What one call asks of several shards: for each of them what `run` is, the script before this.
--
-- KEYS  those of the shards, one shard behind the other
-- ARGV  for each shard: how many arguments and how many keys it has, then its arguments
-- Reply of the same kind: {"OK", sums}, or what the first shard replied that has taken nothing;
--       all others have taken theirs nevertheless
local sums, refused, at, k = {'OK', 0, 0, 0}, nil, 1, 0
while at <= #ARGV do
  local n, own, keys, argv = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), {}, {}
  for i = 1, own do keys[i] = KEYS[k + i] end
  for i = 1, n do argv[i] = ARGV[at + 1 + i] end
  local reply = run(keys, argv)
  if reply[1] == 'OK' then
    for i = 2, #sums do sums[i] = sums[i] + reply[i] end
  else
    refused = refused or reply
  end
  at, k = at + 2 + n, k + own
end
return refused or sums
