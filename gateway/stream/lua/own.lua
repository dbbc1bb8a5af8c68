#!lua flags=allow-oom
-- Take a journal's name on one shard: from now on only who knows the token publishes under it.
--
-- KEYS  1 shard hash
-- ARGV  1 name, 2 token, 3 now, 4 acceptance time of what is published next, both Unix ms
--       5 the name that the journal had before, or empty, 6 where this name began on the shard
--       7 position that the shard is known to have had, 8 Unix ms: if names have left since then,
--       this one has
--       9.. tokens that are ours as well
-- Reply {"OK", position, 1 when the shard had none of the name} or {"FOREIGN"}
--
-- A shard without a position of the name goes on where it was, if the name has left for having
-- been silent; it begins where the name began, or where the name of before has got to, if it knows
-- that one. Else it has lost everything that it had of this journal, and begins at 0.
local shard, name = KEYS[1], ARGV[1]
local owner, place = 'owner:' .. name, 'pos:' .. name
local known = redis.call('HMGET', shard, owner, place, 'pos:' .. ARGV[5], 'left')
if known[1] then
  local ours = known[1] == ARGV[2]
  for i = 9, #ARGV do ours = ours or ARGV[i] == known[1] end
  if not ours then return {'FOREIGN'} end
end
redis.call('HSET', shard, owner, ARGV[2], 'alive:' .. name, ARGV[3])
if known[2] then return {'OK', known[2], 0} end
local begin = '0'
if known[4] and tonumber(known[4]) >= tonumber(ARGV[8]) then
  begin = ARGV[7]
elseif ARGV[5] ~= '' and known[3] then
  begin = tonumber(known[3]) < tonumber(ARGV[6]) and known[3] or ARGV[6]
end
redis.call('HSET', shard, place, begin, 'clock:' .. name, ARGV[4])
return {'OK', begin, 1}
