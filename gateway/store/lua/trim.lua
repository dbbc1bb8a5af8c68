#!lua flags=allow-oom
-- Cut off the history of one shard; never an entry that a group has not settled.
-- KEYS: events, shard, sub of the keeper of call states, sub of every known subscriber.
-- ARGV: oldest_ms, max_bytes, now, Unix ms, name of every known subscriber.
-- An entry goes when every group has settled it and it is older than oldest_ms or, oldest first,
-- history holds more than max_bytes. While a known subscriber has no group, nothing goes: its
-- group will be created anew further back. What a keeper at work has not read stays as well; one
-- whose lease has ended finds what the history holds.
-- Returns {how many went, bytes of history that are left, Unix ms before which nothing is left}.
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not first then return {0, 0, 0} end
local function exact(n) return string.format('%.0f', n) end
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function earlier(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end

-- `needed`: the first entry that some group may still want.
local needed, groups = nil, {}
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  groups[group['name']] = true
  local wanted = group['last-delivered-id']
  if group['pending'] > 0 then wanted = redis.call('XPENDING', KEYS[1], group['name'])[2] end
  if not needed or earlier(wanted, needed) then needed = wanted end
end
for i = 4, #KEYS do
  if not groups[ARGV[i]] and redis.call('HEXISTS', KEYS[i], 'start_seq') == 1 then
    return {0, 0, 0}
  end
end
local keeper = redis.call('HMGET', KEYS[3], 'taken_id', 'expires_ms')
if keeper[1] and tonumber(keeper[2]) > tonumber(ARGV[3]) then
  if not needed or earlier(keeper[1], needed) then needed = keeper[1] end
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not needed or earlier(last[1], needed) then needed = last[1] end

-- Offsets grow with ids: search by time for the first entry that the bound in bytes lets stay.
local function offset_at(id)
  local entry = redis.call('XRANGE', KEYS[1], id, '+', 'COUNT', 1)[1]
  return tonumber(entry[2][4]) or 0  -- 0: not of our publisher
end
local stay = exact(tonumber(ARGV[1])) .. '-0'
local until_offset = offset_at(needed)
local least = until_offset - ARGV[2]
if (tonumber(first[2][4]) or 0) < least then
  local low, high = parts(first[1]), parts(needed)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if offset_at(exact(middle) .. '-0') >= least then high = middle else low = middle + 1 end
  end
  if earlier(stay, exact(low) .. '-0') then stay = exact(low) .. '-0' end
end
if earlier(needed, stay) then stay = needed end
local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', stay)
if trimmed > 0 then
  redis.call('HINCRBY', KEYS[2], 'trimmed', trimmed)
  first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
end
local left = until_offset - (tonumber(first[2][4]) or 0)
return {trimmed, math.max(0, left), (parts(stay))}
