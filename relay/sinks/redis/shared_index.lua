-- One script for everything that the shared index does: see shared_index.py.
--
-- KEYS  the memory's, then two for each fact: its own, and that of its statement; 'reach': the memory's, and one of no fact
-- ARGV  'reach', 'claim', 'confirm' or 'release', owner (8 bytes), lease or window in ms, and facts: each one string of a
--       kind ('p' plain, 's' stated, 'c' a contradiction), statement (16 bytes), offset
--
-- A key's value: 'c' claimed or 'd' done, owner (8 bytes), statement (16 bytes), offset. Claims expire with the lease,
-- what is done with the window.
--
-- 'claim' answers the verdicts, one letter each ('o' ours, 'c' contradicts, 'a' absorbed), up to the first fact that
-- another owner has claimed, and the name of this memory; 'confirm' answers how many facts are another owner's; 'reach'
-- {'OK'}, or {'DENIED', command, ...} where the user may not do what the others do.
--
-- Redis does not roll a script back: everything is read and decided before the first write, and every key is declared.

local operation, owner, life = ARGV[1], ARGV[2], ARGV[3]
local first = 4

if operation == 'reach' then
  local denied = {'DENIED'}
  local function try(command, ...)
    local answer = redis.pcall(command, ...)
    local text = type(answer) == 'table' and answer.err
    if text and (string.find(text, "user executing the script can't", 1, true)
        or string.find(text, 'ACL failure in script', 1, true) or string.find(text, 'Unknown .*command called from')) then
      denied[#denied + 1] = command
    end
  end
  try('TIME')
  try('GET', KEYS[2])
  try('SET', KEYS[2], '', 'XX', 'PX', life)
  try('DEL', KEYS[2])
  return denied[2] and denied or {'OK'}
end

local known, changed = {}, {}

local function get(key)
  if known[key] == nil then known[key] = redis.call('GET', key) end
  return known[key]
end

local function set(key, value)
  known[key] = value
  changed[#changed + 1] = key
end

local function mine(value) return string.sub(value, 2, 9) == owner end
local function done(value) return string.byte(value) == 100 end
local function offset_of(value) return string.sub(value, 26) end
local function put(key, state, statement, offset) set(key, state .. owner .. statement .. offset) end

-- Takes a key for ourselves, or says why not: 'ours', 'held', 'again' (by us, at this very offset: the sink has lost
-- it), or the statement of whoever has published it.
local function take(key, statement, offset)
  local value = get(key)
  if value then
    if done(value) then
      if mine(value) and offset_of(value) == offset then return 'again' end
      return string.sub(value, 10, 25)
    end
    if not mine(value) then return 'held' end
  end
  put(key, 'c', statement, offset)
  return 'ours'
end

-- A contradiction may not take the fact's own key; everything else about it is the same.
local function look(key)
  local value = get(key)
  if not value then return 'free' end
  if not done(value) and not mine(value) then return 'held' end
  return string.sub(value, 10, 25)
end

local function judge(kind, key, other, statement, offset)
  local found
  if kind == 'c' then found = look(key) else found = take(key, statement, offset) end
  if found == 'ours' or found == 'again' then return 'o' end
  if found == 'held' then return nil end
  if found == statement then return 'a' end
  found = take(other, statement, offset)
  if found == 'held' then return nil end
  if found == 'ours' or found == 'again' then return 'c' end
  return 'a'
end

-- Whether the key is ours to confirm: claimed or done by us at this offset.
local function confirm_key(key, statement, offset)
  local value = get(key)
  if not value then return 'free' end
  if not (mine(value) and offset_of(value) == offset) then return 'theirs' end
  put(key, 'd', statement, offset)
  return 'ours'
end

local function confirm(kind, key, other, statement, offset)
  local found = 'theirs'
  if kind ~= 'c' then
    found = confirm_key(key, statement, offset)
    if found == 'ours' or kind == 'p' then
      if found == 'free' then put(key, 'd', statement, offset) end
      return found ~= 'theirs'
    end
  end
  local contradiction = confirm_key(other, statement, offset)
  if contradiction == 'ours' then return true end
  -- Ours and forgotten meanwhile: the lease has run out, or the index has lost it.
  if found == 'free' then
    put(key, 'd', statement, offset)
    return true
  end
  if contradiction == 'free' and kind == 'c' then
    put(other, 'd', statement, offset)
    return true
  end
  return false
end

local function release(_, key, other)
  for _, claimed in ipairs({key, other}) do
    local value = get(claimed)
    if value and mine(value) and not done(value) then set(claimed, false) end
  end
  return true
end

local function each(action)
  for index = first, #ARGV do
    local fact, place = ARGV[index], 2 * (index - first) + 2
    local statement, offset = string.sub(fact, 2, 17), string.sub(fact, 18)
    if action(string.sub(fact, 1, 1), KEYS[place], KEYS[place + 1], statement, offset) == nil then return end
  end
end

local answer, memory = 0, nil
if operation == 'claim' then
  local now, verdicts = redis.call('TIME'), {}
  local remembered = redis.call('GET', KEYS[1])
  each(function(...)
    local verdict = judge(...)
    verdicts[#verdicts + 1] = verdict
    return verdict
  end)
  memory = not remembered and now[1] .. '.' .. now[2]
  answer = {table.concat(verdicts), remembered or memory}
elseif operation == 'confirm' then
  each(function(...)
    if not confirm(...) then answer = answer + 1 end
    return true
  end)
else
  each(release)
end

-- From here on it writes.
if memory then redis.call('SET', KEYS[1], memory) end
for _, key in ipairs(changed) do
  if known[key] then redis.call('SET', key, known[key], 'PX', life) else redis.call('DEL', key) end
end
return answer
