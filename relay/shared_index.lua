-- One script for everything that the shared index does: see shared_index.py.
--
-- KEYS  the scope: what stands before each key
-- ARGV  'claim', 'confirm' or 'release', owner (8 bytes), lease or window in ms, and facts: each one string of a kind ('p' plain,
--       's' stated, 'c' a contradiction), key (16 bytes), statement (16 bytes), offset
--
-- A key's value: 'c' claimed or 'd' done, owner (8 bytes), statement (16 bytes), offset. Claims expire with the lease,
-- what is done with the window.
--
-- 'claim' answers the verdicts, one letter each ('o' ours, 'c' contradicts, 'a' absorbed), up to the first fact that
-- another owner has claimed, and the name of this memory; 'confirm' answers how many facts are another owner's.

local scope, operation, owner, life = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local first = 4

local function mine(value) return string.sub(value, 2, 9) == owner end
local function done(value) return string.byte(value) == 100 end
local function offset_of(value) return string.sub(value, 26) end
local function put(key, state, statement, offset)
  redis.call('SET', scope .. key, state .. owner .. statement .. offset, 'PX', life)
end

-- Takes a key for ourselves, or says why not: 'ours', 'held', 'again' (by us, at this very offset: the sink has lost
-- it), or the statement of whoever has published it.
local function take(key, statement, offset)
  local value = redis.call('GET', scope .. key)
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
  local value = redis.call('GET', scope .. key)
  if not value then return 'free' end
  if not done(value) and not mine(value) then return 'held' end
  return string.sub(value, 10, 25)
end

local function judge(kind, key, statement, offset)
  local found
  if kind == 'c' then found = look(key) else found = take(key, statement, offset) end
  if found == 'ours' or found == 'again' then return 'o' end
  if found == 'held' then return nil end
  if found == statement then return 'a' end
  found = take(statement, statement, offset)
  if found == 'held' then return nil end
  if found == 'ours' or found == 'again' then return 'c' end
  return 'a'
end

-- Whether the key is ours to confirm: claimed or done by us at this offset.
local function confirm_key(key, statement, offset)
  local value = redis.call('GET', scope .. key)
  if not value then return 'free' end
  if not (mine(value) and offset_of(value) == offset) then return 'theirs' end
  put(key, 'd', statement, offset)
  return 'ours'
end

local function confirm(kind, key, statement, offset)
  local found = 'theirs'
  if kind ~= 'c' then
    found = confirm_key(key, statement, offset)
    if found == 'ours' or kind == 'p' then
      if found == 'free' then put(key, 'd', statement, offset) end
      return found ~= 'theirs'
    end
  end
  local contradiction = confirm_key(statement, statement, offset)
  if contradiction == 'ours' then return true end
  -- Ours and forgotten meanwhile: the lease has run out, or the index has lost it.
  if found == 'free' then
    put(key, 'd', statement, offset)
    return true
  end
  if contradiction == 'free' and kind == 'c' then
    put(statement, 'd', statement, offset)
    return true
  end
  return false
end

local function each(action)
  for index = first, #ARGV do
    local fact = ARGV[index]
    if action(string.sub(fact, 1, 1), string.sub(fact, 2, 17), string.sub(fact, 18, 33), string.sub(fact, 34)) == nil then
      return
    end
  end
end

if operation == 'claim' then
  local memory = scope .. 'memory'
  if not redis.call('GET', memory) then
    local now = redis.call('TIME')
    redis.call('SET', memory, now[1] .. '.' .. now[2])
  end
  local verdicts = {}
  each(function(...)
    local verdict = judge(...)
    verdicts[#verdicts + 1] = verdict
    return verdict
  end)
  return {table.concat(verdicts), redis.call('GET', memory)}
end

if operation == 'release' then
  each(function(_, key, statement)
    for _, claimed in ipairs({key, statement}) do
      local value = redis.call('GET', scope .. claimed)
      if value and mine(value) and not done(value) then redis.call('DEL', scope .. claimed) end
    end
    return true
  end)
  return 0
end

local strangers = 0
each(function(...)
  if not confirm(...) then strangers = strangers + 1 end
  return true
end)
return strangers
