#!lua flags=allow-oom
-- Move a shard's position over journal records that are not its own, and forget digests that
-- no event still to come can repeat.
--
-- KEYS  1 shard hash
-- ARGV  1 name of the journal, a blank, its owner's token, 2 expected position, 3 position to take,
--       4 acceptance time up to which the journal is published, Unix ms (0: that is not known, it
--       stays what it was), 5 dedupe window in ms
-- Reply {"OK"}, {"REFUSED", position that the shard has} or {"FOREIGN"}
--
-- A digest may go when every journal has passed its slice by the window: counted in acceptance
-- times, so an outage of ours neither forgets nor repeats. A journal that has been silent for a
-- day beside others is taken for gone. After a week without a checkpoint, by Redis' clock, its name
-- leaves; what it brought stays in the sums, under `gone`, and `left` says when a name last left.
-- A gateway whose clock is wrong has no part in that.
-- Goes on although memory is full: what it writes is little, and what it forgets makes room.
local shard, window = KEYS[1], tonumber(ARGV[5])
local journal, token = string.match(ARGV[1], '^(%S+) (%S+)$')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local have = redis.call('HMGET', shard, 'pos:' .. journal, 'owner:' .. journal)
if have[2] ~= token then return {'FOREIGN'} end
if (have[1] or '0') ~= ARGV[2] then return {'REFUSED', have[1] or '0'} end
redis.call('HSET', shard, 'pos:' .. journal, ARGV[3], 'alive:' .. journal,
  string.format('%.0f', now))
if ARGV[4] ~= '0' then redis.call('HSET', shard, 'clock:' .. journal, ARGV[4]) end

local state, latest = {}, 0
local flat = redis.call('HGETALL', shard)
for i = 1, #flat, 2 do
  state[flat[i]] = flat[i + 1]
  if string.sub(flat[i], 1, 6) == 'clock:' then latest = math.max(latest, tonumber(flat[i + 1])) end
end
for field, value in pairs(state) do
  local gone = string.match(field, '^clock:(.*)')
  if gone and math.max(tonumber(value), tonumber(state['alive:' .. gone] or 0)) < now - 604800000 then
    for _, kind in ipairs({'count:', 'damaged:', 'outlived:', 'forgotten:', 'before:'}) do
      local sum = state[kind .. gone]
      if sum then redis.call('HINCRBY', shard, kind .. 'gone', sum) end
      redis.call('HDEL', shard, kind .. gone)
    end
    redis.call('HDEL', shard, field, 'alive:' .. gone, 'pos:' .. gone, 'owner:' .. gone,
      'hands:' .. gone)
    redis.call('HSET', shard, 'left', string.format('%.0f', now))
  end
end
local horizon = latest
for field, value in pairs(state) do
  if string.sub(field, 1, 6) == 'clock:' and tonumber(value) > latest - 86400000 then
    horizon = math.min(horizon, tonumber(value))
  end
end

local base = string.gsub(shard, ':shard$', ':seen:')
for field, value in pairs(state) do
  if string.sub(field, 1, 4) == 'low:' then
    local slice = string.sub(field, 5)
    local low, last, length = tonumber(value), tonumber(state['slice:' .. slice]), tonumber(slice)
    local stop = math.min(last + 1, low + 1000)
    while low < stop and (low + 1) * length <= horizon - window do
      redis.call('UNLINK', base .. slice .. ':' .. string.format('%d', low))
      low = low + 1
    end
    if low > last then
      redis.call('HDEL', shard, field, 'slice:' .. slice)
    else
      redis.call('HSET', shard, field, low)
    end
  end
end
return {'OK'}
