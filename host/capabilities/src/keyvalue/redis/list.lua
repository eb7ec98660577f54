-- From a cursor on, some keys that match a pattern, without those that are longer than the last argument says.
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3], 'TYPE', 'string')
local keys = {}
for _, key in ipairs(found[2]) do
  if #key <= tonumber(ARGV[4]) then
    keys[#keys + 1] = key
  end
end
return { found[1], keys }
