#!lua flags=allow-oom
-- Have entries pending in a group, as if a consumer of it had read them.
-- KEYS: events. ARGV: group, consumer, id ... Returns how many are.
local asked = {'XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0}
for i = 3, #ARGV do asked[#asked + 1] = ARGV[i] end
asked[#asked + 1] = 'FORCE'
asked[#asked + 1] = 'JUSTID'
return #redis.call(unpack(asked))
