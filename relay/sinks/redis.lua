-- One script for everything the sink writes: who owns the checkpoint, the events, and the checkpoint itself.
--
-- KEYS  the streams, then the checkpoint hash (journal_id, offset, dead, absorbed, instance, epoch) as the last one
-- ARGV  'claim',   instance, epoch ('' for the first claim of a process)
--       'publish', instance, epoch, journal_id and offset as they should be ('' for none), journal_id, offset, dead
--                  and absorbed as they will be, age in ms past which entries are trimmed ('' for never), window in ms
--                  in which other replicas' facts are absorbed, what stands before their keys, and for each event:
--                  its offset, the index of its stream in KEYS, its fact, its id and type should it contradict another
--                  replica's, the number of values that follow, name, value, ...
--
-- A fact is '' where there is nothing to absorb, else a kind ('p' plain, 's' stated, 'c' a contradiction), a key and a
-- statement of 16 bytes each (relay.core.claims). What is stated under a key is kept there for the window: streams,
-- checkpoint and facts are lost together, if at all.
--
-- Answers {'OK', ...}, after 'publish' with the offsets that were absorbed, or without having written anything {'FENCED'}, {'MISMATCH', journal_id, offset} or
-- {'WRONGTYPE', key, type}.
--
-- Redis does not roll a script back (https://redis.io/docs/latest/develop/interact/programmability/eval-intro/).
-- So types are checked before the first write, memory is checked by Redis at the first write only, and should an
-- XADD fail in the middle all the same, the checkpoint is left at the last event that is on its stream.
-- Offsets stay strings: tostring(1e15) is '1e+15'.

local checkpoint = KEYS[#KEYS]
local instance, epoch = ARGV[2], ARGV[3]

local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function write_checkpoint(offset, ...)
  return redis.pcall('HSET', checkpoint, 'journal_id', ARGV[6], 'offset', offset, ...)
end

for index, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  local wanted = index == #KEYS and 'hash' or 'stream'
  if found ~= 'none' and found ~= wanted then
    return {'WRONGTYPE', key, found}
  end
end

local held = redis.call('HMGET', checkpoint, 'journal_id', 'offset', 'instance', 'epoch', 'dead', 'absorbed')
local held_epoch = tonumber(held[4] or '0') or 0
local owned = held[3] == instance and held[4] == epoch

-- A later claim than ours fences; an earlier one (or none) is an older state of this Redis.
if epoch ~= '' and not owned and held_epoch >= tonumber(epoch) then
  return {'FENCED'}
end

if ARGV[1] == 'claim' then
  if epoch == '' then
    epoch = string.format('%.0f', math.max(now_ms(), held_epoch + 1))
  end
  local written = redis.pcall('HSET', checkpoint, 'instance', instance, 'epoch', epoch)
  if type(written) == 'table' and written.err then
    return written
  end
  return {'OK', epoch, held[1], held[2], held[5], held[6]}
end

if not owned or (held[1] or '') ~= ARGV[4] or (held[2] or '') ~= ARGV[5] then
  return {'MISMATCH', held[1], held[2]}
end

local touched = {}
local done = nil
local answer = {'OK'}
local at = 13
local window, facts = ARGV[11], ARGV[12]

-- Under which key an event is to be remembered, and whether it contradicts what is known; nothing: it is known.
local function unknown(fact)
  local kind, key, statement = string.sub(fact, 1, 1), string.sub(fact, 2, 17), string.sub(fact, 18)
  local known = redis.call('GET', facts .. key)
  if known == statement then return nil end
  if not known and kind ~= 'c' then return key, false end
  if redis.call('EXISTS', facts .. statement) == 1 then return nil end
  return statement, kind == 's'
end

local function contradicting(id, kind, values)
  for place = 1, #values, 2 do
    if values[place] == 'id' then values[place + 1] = id end
    if values[place] == 'type' then values[place + 1] = kind end
  end
  return values
end

local function absorbed_by_now()
  return string.format('%.0f', tonumber(ARGV[9]) + #answer - 1)
end

while at <= #ARGV do
  local stream, fact, count = KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2], tonumber(ARGV[at + 5])
  local last = at + 5 + count
  local key, contradicts
  if fact ~= '' then
    key, contradicts = unknown(fact)
  end
  if fact ~= '' and not key then
    answer[#answer + 1] = ARGV[at]
  else
    local added
    if contradicts then
      local values = contradicting(ARGV[at + 3], ARGV[at + 4], {unpack(ARGV, at + 6, last)})
      added = redis.pcall('XADD', stream, '*', unpack(values))
    else
      added = redis.pcall('XADD', stream, '*', unpack(ARGV, at + 6, last))
    end
    if type(added) == 'table' and added.err then
      if done then
        write_checkpoint(done, 'absorbed', absorbed_by_now())
      end
      return added
    end
    if key then
      redis.pcall('SET', facts .. key, string.sub(fact, 18), 'PX', window)
    end
    touched[stream] = true
  end
  done = ARGV[at]
  at = last + 1
end

local written = write_checkpoint(ARGV[7], 'dead', ARGV[8], 'absorbed', absorbed_by_now())
if type(written) == 'table' and written.err then
  return written
end

if ARGV[10] ~= '' then
  local oldest = string.format('%.0f', now_ms() - tonumber(ARGV[10]))
  for key in pairs(touched) do
    redis.pcall('XTRIM', key, 'MINID', '~', oldest)
  end
end

return answer
