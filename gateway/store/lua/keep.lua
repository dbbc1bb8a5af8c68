#!lua flags=allow-oom
-- Read the next entries for the keeper of call states, and remember up to where it has kept.
-- KEYS: events, sub. ARGV: token, ttl_ms, id up to which is kept (empty: nothing new), its number,
-- count, max_bytes, types that are passed over, types that are let go; a line feed closes each.
-- `call.` and whatever begins so is read unless its type is one of these; everything else is not.
-- A place and no consumer group: what is read twice changes nothing, so nothing has to be pending.
-- Prolongs the lease. Returns {1 if there may be more else 0, id up to which was looked at, its
-- number, how many were let go, entries as XRANGE gives them}. Error: FENCED.
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is lost')
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], 'expires_ms',
  string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]))
if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], 'taken_id', ARGV[3], 'taken_seq', ARGV[4]) end

-- The type in a meta, `["app","type",...`; nil where it holds escapes: then it is read.
local function type_of(meta) return string.match(meta, '^%["[^"\\]*","([^"\\]*)"') end
local let_go = 0
local function is_wanted(fields)
  if not (fields[5] == 'm' and fields[8]) then return false end
  local kind = type_of(fields[6])
  if not kind then return true end
  if string.sub(kind, 1, 5) ~= 'call.' then return false end
  if string.find(ARGV[7], kind .. '\n', 1, true) then return false end
  if not string.find(ARGV[8], kind .. '\n', 1, true) then return true end
  let_go = let_go + 1
  return false
end

local STEP = 64
local entries, bytes, looked = {}, 0, 0
local place = redis.call('HMGET', KEYS[2], 'taken_id', 'taken_seq')
local id, number = place[1] or '0-0', place[2] or '0'
local limit, more = tonumber(ARGV[5]), 1
while #entries < limit and bytes < tonumber(ARGV[6]) and looked < 8 * limit do
  local read = redis.call('XRANGE', KEYS[1], '(' .. id, '+', 'COUNT', STEP)
  for _, entry in ipairs(read) do
    local fields = entry[2]
    if is_wanted(fields) then
      entries[#entries + 1] = entry
      bytes = bytes + #fields[8]
    end
    id = entry[1]
    if fields[1] == 'n' then number = fields[2] end
  end
  looked = looked + #read
  if #read < STEP then more = 0 break end
end
return {more, id, number, let_go, entries}
