#!lua flags=allow-oom
-- Tell which life a shard lives; one that has none yet is given one.
-- KEYS: events, shard. ARGV: a random word.
-- A life is the Unix ms at which it began, and the word. What had entries before anybody asked
-- began with the first of them; if that is gone already, at 0, which is long ago.
-- Returns {life, now, Unix ms}.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local life = redis.call('HGET', KEYS[2], 'life')
if not life then
  local began = now
  if (tonumber(redis.call('HGET', KEYS[2], 'published') or 0) or 0) > 0 then
    local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    local is_first = first and first[2][1] == 'n' and first[2][2] == '1'
    began = is_first and string.match(first[1], '^%d+') or '0'
  end
  life = began .. '-' .. ARGV[1]
  redis.call('HSET', KEYS[2], 'life', life)
end
return {life, tonumber(now)}
