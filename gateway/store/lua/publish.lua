-- Publish a batch of one shard: all of it, once, or nothing.
--
-- KEYS  1 events stream, 2 shard hash, 3 digests of this slice of time,
--       4.. digests of the other slices in which the same event may have been seen
-- ARGV  1 name of the journal, a blank, its owner's token; empty for events that are in no journal
--       2 position that the shard is expected to have, 3 position it has after this batch
--       4 acceptance time of the batch's last event, Unix ms
--       5 slice length in ms, 6 index of this slice
--       7 fresh epoch, taken when the shard has none; "!" before it forces it (a tail was lost)
--       then per event: digest, meta, body; an empty meta marks a packed dead letter of the
--       gateway (a signed body that is no event) in place of the body
-- Reply {"OK", published, duplicates, unfit}, {"REFUSED", position that the shard has}, or
--       {"FOREIGN"} when somebody else owns the journal's name
local events, shard, seen = KEYS[1], KEYS[2], KEYS[3]
local journal, upto = ARGV[1], ARGV[3]
if journal ~= '' then
  local token
  journal, token = string.match(journal, '^(%S+) (%S+)$')
  local have = redis.call('HMGET', shard, 'pos:' .. journal, 'owner:' .. journal)
  if have[2] ~= token then return {'FOREIGN'} end
  if (have[1] or '0') ~= ARGV[2] then return {'REFUSED', have[1] or '0'} end
end

local first = 8
local n = (#ARGV - first + 1) / 3
local digests, known = {}, {}
for i = 1, n do digests[i] = ARGV[first + 3 * (i - 1)] end
for k = 3, #KEYS do
  local found = redis.call('SMISMEMBER', KEYS[k], unpack(digests))
  for i = 1, n do
    if found[i] == 1 then known[digests[i]] = true end
  end
end

local state = redis.call('HMGET', shard, 'published', 'bytes', 'duplicates', 'unfit', 'epoch',
  'low:' .. ARGV[5], 'slice:' .. ARGV[5], 'count:' .. journal)
local published, bytes = tonumber(state[1] or 0), tonumber(state[2] or 0)
local was, duplicates, unfit, fresh = published, 0, 0, {}
for i = 1, n do
  local digest, at = digests[i], first + 3 * (i - 1)
  if known[digest] then
    duplicates = duplicates + 1
  else
    known[digest] = true
    fresh[#fresh + 1] = digest
    local meta, body = ARGV[at + 1], ARGV[at + 2]
    if meta == '' then
      unfit = unfit + 1
      local base = string.gsub(shard, ':shard$', '')
      local id = string.format('%s-%d', ARGV[4], tonumber(state[4] or 0) + unfit)
      redis.call('HSET', base .. ':dead:gateway', id, body)
      redis.call('ZADD', base .. ':dead_at:gateway', ARGV[4], id)
      redis.call('HINCRBY', base .. ':sub:gateway', 'buried', 1)
      redis.call('HINCRBY', base .. ':sub:gateway', 'dead_bytes', #body)
    else
      published = published + 1
      redis.call('XADD', events, '*', 'n', published, 'o', bytes, 'm', meta, 'b', body)
      bytes = bytes + #meta + #body
    end
  end
end

if #fresh > 0 then redis.call('SADD', seen, unpack(fresh)) end
local fields = {'published', published, 'bytes', bytes,
  'duplicates', tonumber(state[3] or 0) + duplicates, 'unfit', tonumber(state[4] or 0) + unfit,
  'count:' .. journal, tonumber(state[8] or 0) + n}
local function set(field, value)
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end
if journal ~= '' then
  set('pos:' .. journal, upto)
  set('clock:' .. journal, ARGV[4])
end
local index = tonumber(ARGV[6])
if not state[6] then set('low:' .. ARGV[5], index) end
if index > tonumber(state[7] or -1) then set('slice:' .. ARGV[5], index) end
if string.sub(ARGV[7], 1, 1) == '!' then
  set('epoch', string.sub(ARGV[7], 2))
elseif not state[5] then
  set('epoch', ARGV[7])
end
redis.call('HSET', shard, unpack(fields))
return {'OK', published - was, duplicates, unfit}
