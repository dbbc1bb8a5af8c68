#!lua flags=allow-oom
-- Write one call's state, if it is still what the writer has read: all of it, or nothing.
-- KEYS: calls, calls_more, calls_at, calls_size.
-- ARGV: 1 app, 2 cid, 3 version that was read (0: there was none), 4 bookkeeping and JSON, which
--   begin with the version after it, 5 packed JSON of the rest, empty: as it was, 6 now, Unix ms,
--   7 created, Unix ms; then per user: id, flags to set, flags to take away, JSON as a member,
--   empty: as it was.
-- Writes although memory is full: otherwise the events that wait for it could not be let go.
-- It is bounded in count and bytes by sweeping. Returns 1; 0: somebody else was first.
local app, cid = ARGV[1], ARGV[2]
local call = app .. '\0' .. cid
local base = string.gsub(KEYS[1], 'calls$', '')
local old = redis.call('HGET', KEYS[1], call)
if (old and string.match(old, '^%d+') or '0') ~= ARGV[3] then return 0 end

local grown = #ARGV[4] - (old and #old or -2 * #call)
redis.call('HSET', KEYS[1], call, ARGV[4])
if ARGV[5] ~= '' then
  grown = grown + #ARGV[5] - redis.call('HSTRLEN', KEYS[2], call)
  redis.call('HSET', KEYS[2], call, ARGV[5])
end
redis.call('ZADD', KEYS[3], ARGV[6], call)
redis.call('ZADD', base .. 'calls_of:' .. app, ARGV[7], cid)

local users = base .. 'users:' .. call
for i = 8, #ARGV, 4 do
  local id, set, clear, json = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local named = base .. 'named:' .. app .. '\0' .. id
  local was = redis.call('HGET', users, id)
  local flags, member = string.match(was or ' ', '^(%a*) (.*)$')
  if json ~= '' then member = json end
  flags = string.gsub(flags, '[' .. set .. clear .. ']', '') .. set
  if not string.find(flags, 'm') then member = '' end
  grown = grown - (was and #was + 2 * #id or 0)
  if flags == '' then
    redis.call('HDEL', users, id)
    redis.call('SREM', named, cid)
  else
    redis.call('HSET', users, id, flags .. ' ' .. member)
    redis.call('SADD', named, cid)
    grown = grown + #flags + 1 + #member + 2 * #id
  end
end
redis.call('INCRBY', KEYS[4], string.format('%.0f', grown))
return 1
