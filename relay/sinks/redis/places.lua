-- Compares and sets checkpoint hashes: all of them, or none.
--
-- KEYS  the hashes
-- ARGV  for each: the fields as they should be, and as they will be, both as a JSON object of strings ('' for none)
--
-- Answers 1, or 0 where one is not as it should be; nothing is written then.

for place, key in ipairs(KEYS) do
  for field, wanted in pairs(cjson.decode(ARGV[2 * place - 1])) do
    if (redis.call('HMGET', key, field)[1] or '') ~= wanted then
      return 0
    end
  end
end

for place, key in ipairs(KEYS) do
  local fields = {}
  for field, value in pairs(cjson.decode(ARGV[2 * place])) do
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if #fields > 0 then
    redis.call('HSET', key, unpack(fields))
  end
end

return 1
