-- The values of the keys; only how many bytes they have, if that is more than the argument.
local bytes = 0
for _, key in ipairs(KEYS) do
  bytes = bytes + redis.call('STRLEN', key)
end
if bytes > tonumber(ARGV[1]) then
  return bytes
end
return redis.call('MGET', unpack(KEYS))
