-- One script for everything that the sink writes: the checkpoint's owner, the events, and the checkpoint itself.
--
-- KEYS  the checkpoint hash (journal_id, offset, dead, absorbed, instance, epoch), the streams, then what facts need:
--       'claim' and 'prove' get one key that no fact has if there is a window, 'publish' two for each fact: its own, its statement's
--       'reach' gets one key, to see whether the user may read and write it
-- ARGV  operation, instance, epoch ('' for the first claim of a process), number of streams, age in ms past which
--       entries are trimmed ('' for never), window in ms in which other replicas' facts are absorbed ('' for none)
--       'publish' goes on with journal_id and offset as they should be ('' for none), journal_id, offset, dead and
--       absorbed as they will be, and for each event: its offset, the place of its stream in KEYS, its fact, the place
--       in KEYS of the fact's key, its id and type should it contradict another replica's, the number of values that
--       follow (a few dozen, which `unpack` can take), name, value, ...
--
-- A fact is '' where there is nothing to absorb, else a kind ('p' plain, 's' stated, 'c' a contradiction) and a
-- statement of 16 bytes (relay.core.publishing.claims). What is stated under a key is kept there for the window: streams,
-- checkpoint and facts are lost together, if at all.
--
-- Answers {'OK', ...}, after 'publish' with the offsets that were absorbed, or without having written anything
-- {'FENCED'}, {'MISMATCH', journal_id, offset}, {'WRONGTYPE', key, type} or {'DENIED', command, key, command, ...}.
--
-- Redis does not roll a script back (https://redis.io/docs/latest/develop/interact/programmability/eval-intro/). So
-- everything is read and decided before the first write, and what a write needs is proven before the first XADD:
--   the keys   all of them are declared, so Redis refuses the whole script while a slot moves or where the user may
--              not read and write one of them
--   the types  are looked at here
--   HSET       writes what is there already; this first write also meets a full memory, a disk error, a replica
--   SET        with XX on a key that is not there, which does nothing
--   XADD       is its own proof: what denies the command denies the first one
-- Should one of them fail in the middle all the same, the checkpoint is left at the last event that is on its stream.
-- 'claim' proves all commands before it claims, by calls that change nothing: so a missing right shows when opening.
-- 'prove' does that only.
-- Offsets stay strings: tostring(1e15) is '1e+15'.

if ARGV[1] == 'reach' then return {'OK'} end

local operation, instance, epoch = ARGV[1], ARGV[2], ARGV[3]
local checkpoint, last_stream = KEYS[1], 1 + tonumber(ARGV[4])
local trim, window = ARGV[5], ARGV[6]

local function error_of(answer)
  return type(answer) == 'table' and answer.err
end

-- Redis up to 7.0 and from 7.2 on say it in different words; the last one is a command that was renamed away.
local function is_denial(text)
  return string.find(text, "user executing the script can't", 1, true)
    or string.find(text, 'ACL failure in script', 1, true) or string.find(text, 'Unknown .*command called from')
end

local function denied()
  local found = {'DENIED'}
  local function try(command, ...)
    local text = error_of(redis.pcall(command, ...))
    if text and is_denial(text) then
      found[#found + 1] = command
      found[#found + 1] = ... or ''
    end
  end
  try('TIME')
  try('HMGET', checkpoint, 'epoch')
  try('HSET', checkpoint, 'a name without a value', '', '')
  for place = 1, last_stream do try('TYPE', KEYS[place]) end
  for place = 2, last_stream do
    try('XADD', KEYS[place], 'NOMKSTREAM', '0-0', 'an id that none may have', '')
    if trim ~= '' then try('XTRIM', KEYS[place], 'MINID', '0') end
  end
  if window ~= '' then
    try('GET', KEYS[last_stream + 1])
    try('SET', KEYS[last_stream + 1], '', 'XX', 'PX', window)
  end
  return found
end

if operation == 'claim' or operation == 'prove' then
  local found = denied()
  if found[2] then return found end
end
if operation == 'prove' then return {'OK'} end

for place = 1, last_stream do
  local found = redis.call('TYPE', KEYS[place]).ok
  local wanted = place == 1 and 'hash' or 'stream'
  if found ~= 'none' and found ~= wanted then
    return {'WRONGTYPE', KEYS[place], found}
  end
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', checkpoint, 'journal_id', 'offset', 'instance', 'epoch', 'dead', 'absorbed')
local held_epoch = tonumber(held[4] or '0') or 0
local owned = held[3] == instance and held[4] == epoch

-- A later claim than ours fences; an earlier one (or none) is an older state of this Redis.
if epoch ~= '' and not owned and held_epoch >= tonumber(epoch) then
  return {'FENCED'}
end

if operation == 'claim' then
  if epoch == '' then
    epoch = string.format('%.0f', math.max(now_ms, held_epoch + 1))
  end
  local written = redis.pcall('HSET', checkpoint, 'instance', instance, 'epoch', epoch)
  if error_of(written) then return written end
  return {'OK', epoch, held[1], held[2], held[5], held[6]}
end

if not owned or (held[1] or '') ~= ARGV[7] or (held[2] or '') ~= ARGV[8] then
  return {'MISMATCH', held[1], held[2]}
end

-- What becomes of each event ------------------------------------------------------------------------------------------

local known = {}

local function statement_under(key)
  if known[key] == nil then known[key] = redis.call('GET', key) end
  return known[key]
end

-- Under which key a fact is to be remembered, and whether it contradicts what is known; nothing: it is known.
local function unknown(kind, statement, place)
  local key, other = KEYS[place], KEYS[place + 1]
  local found = statement_under(key)
  if found == statement then return nil end
  if not found and kind ~= 'c' then return key, false end
  if statement_under(other) then return nil end
  return other, kind == 's'
end

local first, fact_keys, contradicts = {}, {}, {}
local proof = nil
local at = 13
while at <= #ARGV do
  local fact = ARGV[at + 2]
  local event = #first + 1
  first[event] = at
  if fact ~= '' then
    local statement = string.sub(fact, 2)
    local key, contradiction = unknown(string.sub(fact, 1, 1), statement, tonumber(ARGV[at + 3]))
    fact_keys[event], contradicts[event] = key or false, contradiction
    if key then
      known[key] = statement
      proof = proof or key
    end
  end
  at = at + 7 + tonumber(ARGV[at + 6])
end

-- From here on it writes ----------------------------------------------------------------------------------------------

local written = redis.pcall('HSET', checkpoint, 'instance', instance)
if error_of(written) then return written end
if proof then
  written = redis.pcall('SET', proof, '', 'XX', 'PX', window)
  if error_of(written) then return written end
end

local touched, answer = {}, {'OK'}

local function write_checkpoint(offset, ...)
  local absorbed = string.format('%.0f', tonumber(ARGV[12]) + #answer - 1)
  return redis.pcall('HSET', checkpoint, 'journal_id', ARGV[9], 'offset', offset, 'absorbed', absorbed, ...)
end

local function contradicting(values, id, kind)
  for place = 1, #values, 2 do
    if values[place] == 'id' then values[place + 1] = id end
    if values[place] == 'type' then values[place + 1] = kind end
  end
  return values
end

local function append(stream, event, start)
  local from, upto = start + 7, start + 6 + tonumber(ARGV[start + 6])
  if contradicts[event] then
    local values = contradicting({unpack(ARGV, from, upto)}, ARGV[start + 4], ARGV[start + 5])
    return redis.pcall('XADD', stream, '*', unpack(values))
  end
  return redis.pcall('XADD', stream, '*', unpack(ARGV, from, upto))
end

-- Answers an error, and whether the event is on its stream.
local function add(event, start)
  local stream, key = KEYS[tonumber(ARGV[start + 1])], fact_keys[event]
  local added = append(stream, event, start)
  if error_of(added) then return added, false end
  touched[stream] = true
  if key then
    local remembered = redis.pcall('SET', key, string.sub(ARGV[start + 2], 2), 'PX', window)
    if error_of(remembered) then return remembered, true end
  end
end

local done = nil
for event, start in ipairs(first) do
  if fact_keys[event] == false then
    answer[#answer + 1] = ARGV[start]
  else
    local failed, added = add(event, start)
    if added then done = ARGV[start] end
    if failed then
      if done then write_checkpoint(done) end
      return failed
    end
  end
  done = ARGV[start]
end

written = write_checkpoint(ARGV[10], 'dead', ARGV[11])
if error_of(written) then return written end

if trim ~= '' then
  local oldest = string.format('%.0f', math.max(0, now_ms - tonumber(trim)))
  for stream in pairs(touched) do
    local trimmed = redis.pcall('XTRIM', stream, 'MINID', '~', oldest)
    if error_of(trimmed) then return trimmed end
  end
end

return answer
