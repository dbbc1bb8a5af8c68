-- Read on in what the keeper of call states has not taken in yet.
-- KEYS: events, sub, shard. ARGV: epoch and id up to which was read before (empty: nothing was),
-- types that say nothing (a line feed closes each), most entries to look at, most bytes.
-- Returns {epoch, id up to which is kept, 1 if there may be more else 0, id up to which was looked
-- at, entries as XRANGE gives them}. Writes nothing.
local epoch = redis.call('HGET', KEYS[3], 'epoch') or ''
local kept = redis.call('HGET', KEYS[2], 'taken_id') or '0-0'

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function is_behind(one, other)
  local ms, seq = parts(one)
  local other_ms, other_seq = parts(other)
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end
local id = kept
if ARGV[1] == epoch and ARGV[2] ~= '' and is_behind(ARGV[2], kept) then id = ARGV[2] end

local function is_wanted(fields)
  if not (fields[5] == 'm' and fields[8]) then return false end
  local kind = string.match(fields[6], '^%["[^"\\]*","([^"\\]*)"')
  if not kind then return true end
  return string.sub(kind, 1, 5) == 'call.' and not string.find(ARGV[3], kind .. '\n', 1, true)
end

local STEP, entries, bytes, looked, more = 64, {}, 0, 0, 1
while looked < tonumber(ARGV[4]) do
  local read = redis.call('XRANGE', KEYS[1], '(' .. id, '+', 'COUNT', STEP)
  for _, entry in ipairs(read) do
    if is_wanted(entry[2]) then
      entries[#entries + 1] = entry
      bytes = bytes + #entry[2][8]
    end
    id, looked = entry[1], looked + 1
    if bytes >= tonumber(ARGV[5]) then return {epoch, kept, 1, id, entries} end
  end
  if #read < STEP then more = 0 break end
end
return {epoch, kept, more, id, entries}
