#!lua flags=allow-oom
-- Read the next entries for a subscriber, and remember up to where it has read.
-- KEYS: events, sub. ARGV: name, token, count, max_bytes.
-- The read happens in here, not in a blocking command, so that a holder which has lost its lease
-- cannot take anything. It goes in steps, so that large bodies overshoot max_bytes by one step
-- at most. Returns {1 if there may be more else 0, entries as XRANGE gives them}.
-- Errors: FENCED, NOGROUP.
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[2] then
  return redis.error_reply('FENCED the lease is lost')
end
local STEP = 32
local entries, bytes, left = {}, 0, tonumber(ARGV[3])
local fields  -- of the last entry: n, its value, o, its value, m, its value, b, its value
while left > 0 and bytes < tonumber(ARGV[4]) do
  local step = math.min(STEP, left)
  local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], 'gateway', 'COUNT', step,
    'STREAMS', KEYS[1], '>')
  local read = reply and reply[1][2] or {}
  for _, entry in ipairs(read) do
    entries[#entries + 1] = entry
    if entry[2][1] == 'n' and entry[2][8] then  -- else it is not of our publisher
      fields = entry[2]
      bytes = bytes + #fields[6] + #fields[8]
    end
  end
  if #read < step then break end
  left = left - step
end
if #entries == 0 then return {0, entries} end
redis.call('HSET', KEYS[2], 'taken_id', entries[#entries][1])
if fields then
  redis.call('HSET', KEYS[2], 'taken_seq', fields[2],
    'taken_bytes', string.format('%.0f', fields[4] + #fields[6] + #fields[8]))
end
return {(left <= 0 or bytes >= tonumber(ARGV[4])) and 1 or 0, entries}
