-- Tell whether the history of a shard still begins right behind a position.
--
-- KEYS  1 events stream, 2 shard hash
-- ARGV  1 id of the position, as "(ms-seq", 2 number of the position
-- Reply {epoch or "", 1 when the next entry, if there is any, is the next number; else 0}
local epoch = redis.call('HGET', KEYS[2], 'epoch') or ''
local number = tonumber(ARGV[2])
local next = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)[1]
if next then
  -- Fields by their place, as the publisher writes them: n comes first.
  return {epoch, tonumber(next[2][2]) == number + 1 and 1 or 0}
end
local published = tonumber(redis.call('HGET', KEYS[2], 'published') or 0)
return {epoch, published == number and 1 or 0}
