-- Set the first argument, if the second is what is there now; without a second, if nothing is.
if redis.call('GET', KEYS[1]) ~= (ARGV[2] or false) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
