#!lua flags=allow-oom
-- Take a journal's name on one shard: from now on only who knows the token publishes under it.
--
-- KEYS  1 shard hash
-- ARGV  1 name, 2 token, 3 acceptance time of what is published next, Unix ms
--       4 the name that the journal had before, or empty, 5 where this name began on the shard
--       6 position that the shard is known to have had, 7 Unix ms: if names have left since then,
--       this one has
--       8.. tokens that are ours as well
-- Reply {"OK", position, 1 when the shard had none of the name, 2 when that has left} or {"FOREIGN"}
--
-- `hands` keeps who took the name last, and where the shard was then: what another hand has
-- published is not ours from there on, also where the shard had lost some of ours by then.
--
-- A shard without a position of the name goes on where it was, if the name has left for having
-- been silent; it begins where the name began, or where the name of before has got to, if it knows
-- that one. Else it has lost everything that it had of this journal, and begins at 0.
local shard, name = KEYS[1], ARGV[1]
local owner, place = 'owner:' .. name, 'pos:' .. name
local known = redis.call('HMGET', shard, owner, place, 'pos:' .. ARGV[4], 'left',
  'hands:' .. name)
if known[1] then
  local ours = known[1] == ARGV[2]
  for i = 8, #ARGV do ours = ours or ARGV[i] == known[1] end
  if not ours then return {'FOREIGN'} end
end
local begin, why = known[2], 0
if not begin then
  begin, why = '0', 1
  if known[4] and tonumber(known[4]) >= tonumber(ARGV[7]) then
    begin, why = ARGV[6], 2
  elseif ARGV[4] ~= '' and known[3] then
    begin = tonumber(known[3]) < tonumber(ARGV[5]) and known[3] or ARGV[5]
  end
  redis.call('HSET', shard, place, begin, 'clock:' .. name, ARGV[3])
end
local time = redis.call('TIME')
redis.call('HSET', shard, owner, ARGV[2], 'alive:' .. name,
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
if known[1] ~= ARGV[2] then
  local hands = {}
  for one in string.gmatch(known[5] or '', '%S+') do hands[#hands + 1] = one end
  hands[#hands + 1] = ARGV[2] .. '@' .. begin
  redis.call('HSET', shard, 'hands:' .. name,
    table.concat(hands, ' ', math.max(1, #hands - 15), #hands))
end
return {'OK', begin, why}
