-- Purpose: the in-flight overlay of one tenant: its items, and the running sums kept beside them. Prepended to every
--   script, after exact-int.lua; it defines local functions only.
-- KEYS: none of its own; every function is given the in-flight key by its script.
-- Layout of the in-flight hash:
--   TRACE:PHASE -> AVAIL|REQUESTS|DAY|CREATED_MS  one item; phase p hold, c charge, v void, x expiry; AVAIL in nano-units
--   ~available       -> sum of AVAIL, present as long as there is an item
--   ~day:YYYY-MM-DD  -> sum of REQUESTS of that day; absent at zero
--   ~month:YYYY-MM   -> sum of REQUESTS of that month; absent at zero
--   A trace id never starts with a tilde, so no item can be mistaken for a sum. The last item takes the key with it.
-- Order: what a call decides to write is planned (plan_add, plan_command), and written by plan_write at its very end.
-- Unchanged on refusal: everything, as long as plan_write was not called.
-- Cost: one HMGET in N fields to open; one HSET and at most one HDEL to write what was put. To drop: one HLEN, then as told
--   at overlay_landed. Patterns over long texts cost most (10 ns a character) and formatting a number 500 ns: texts are cut
--   by struct.unpack at their zero bytes, and what many items share is read once a call.

-- unpack fails near 8,000 values; half of that leaves room. Even, since HSET takes pairs.
local ARGUMENTS_MAX = 4000

-- The arguments of all planned commands, one after the other, and of each command its name, key, first and last argument.
local planned, planned_count, commands, commands_count = {}, 0, {}, 0

-- Plans two more arguments of the command that is planned next.
local function plan_add(first, second)
  planned[planned_count + 1], planned[planned_count + 2] = first, second
  planned_count = planned_count + 2
end

-- Plans a command on a key with the arguments planned since `after`, which is what planned_count was before them.
local function plan_command(command, key, after)
  local at = commands_count
  commands[at + 1], commands[at + 2], commands[at + 3], commands[at + 4] = command, key, after + 1, planned_count
  commands_count = at + 4
end

-- Calls a command on a key with some of a list's values, in chunks.
local function call_chunked(command, key, list, first, last)
  for from = first, last, ARGUMENTS_MAX do
    redis.call(command, key, unpack(list, from, math.min(from + ARGUMENTS_MAX - 1, last)))
  end
end

-- Carries out what was planned.
local function plan_write()
  for at = 1, commands_count, 4 do
    local command, key, first, last = commands[at], commands[at + 1], commands[at + 2], commands[at + 3]
    if last < first then redis.call(command, key) else call_chunked(command, key, planned, first, last) end
  end
end

-- Reads `count` fields of a hash; a field that is absent is false.
local function fields_get(key, fields, count)
  if count <= ARGUMENTS_MAX then return redis.call('HMGET', key, unpack(fields, 1, count)) end
  local values = {}
  for from = 1, count, ARGUMENTS_MAX do
    local part = redis.call('HMGET', key, unpack(fields, from, math.min(from + ARGUMENTS_MAX - 1, count)))
    for index = 1, #part do values[from + index - 1] = part[index] end
  end
  return values
end

-- Day -> its two windows and the fields of their sums: built once for each day a call names, since most items share one.
local WINDOWS = {}

-- Returns the windows of a day (YYYY-MM-DD), or nil when it has not that form.
local function windows_of(day)
  local windows = WINDOWS[day]
  if windows then return windows end
  if not string.find(day, '^%d%d%d%d%-%d%d%-%d%d$') then return nil end
  local month = string.sub(day, 1, 7)
  windows = { day = day, month = month, day_field = '~day:' .. day, month_field = '~month:' .. month }
  WINDOWS[day] = windows
  return windows
end

-- A local is reached faster than a global, which counts where it is called for every item.
local byte_of = string.byte

-- Tells whether a text starts as trace ids do: printable, and no tilde, which the sums begin with.
local function is_trace(text)
  local byte = byte_of(text)
  return byte ~= nil and byte > 32 and byte < 126
end

-- The bytes of the four phase letters.
local PHASES = { [112] = true, [99] = true, [118] = true, [120] = true }

-- Tells whether a field names an item: a trace id, a colon and one phase letter.
local function is_item_field(field)
  local colon, phase = byte_of(field, -2, -1)
  return colon == 58 and PHASES[phase] and #field > 2 and is_trace(field)
end

-- Reads an item without its creation time, AVAIL|REQUESTS|DAY: hi and lo of the amount, requests, windows; or nothing when
-- the text is malformed.
local function item_parse(text)
  local avail, requests, day = string.match(text, '^(%-?%d+)|(%-?[01])|([%d-]+)$')
  if not avail or #avail > 20 then return nil end
  local windows = windows_of(day)
  if not windows then return nil end
  local hi, lo = int_of_digits(avail)
  return hi, lo, tonumber(requests), windows
end

-- REQUESTS|DAY|CREATED_MS -> what it says: most items of a call share it.
local TAILS = {}

local function tail_of(text)
  local tail = TAILS[text]
  if tail then return tail end
  local requests, day, created_ms = string.match(text, '^(%-?[01])|([%d-]+)|(%d+)$')
  local windows = day and windows_of(day)
  if not windows then return nil end
  tail = { requests = tonumber(requests), windows = windows, created_ms = created_ms }
  TAILS[text] = tail
  return tail
end

-- Reads a stored item: hi and lo of the amount, and its tail (requests, windows, creation time in ms as text).
local function stored_parse(key, value)
  local avail, rest = string.match(value, '^(%-?%d+)|(.+)$')
  local tail = avail and #avail <= 20 and tail_of(rest)
  if not tail then error('an item of ' .. key .. ' is malformed: ' .. value) end
  local hi, lo = int_of_digits(avail)
  return hi, lo, tail
end

-- Makes the copy of an overlay: the sum of amounts as limbs; the sums of requests as they change, by field, and as they are
-- stored. `available` is the stored ~available, or false.
local function overlay_of(key, available)
  local hi, lo = 0, 0
  if available then
    hi, lo = int_parse(available)
    if not hi then error('the ~available sum of ' .. key .. ' is no integer') end
  end
  return { key = key, hi = hi, lo = lo, sums = {}, stored_sums = {} }
end

-- Takes note of a stored sum of requests; a plain number holds it exactly.
local function overlay_note(overlay, field, stored)
  local sum = tonumber(stored or 0)
  overlay.sums[field], overlay.stored_sums[field] = sum, sum
  return sum
end

-- Returns a sum of requests.
local function overlay_sum(overlay, field)
  return overlay.sums[field] or overlay_note(overlay, field, redis.call('HGET', overlay.key, field))
end

local function add_requests(overlay, windows, requests)
  local sums, day, month = overlay.sums, windows.day_field, windows.month_field
  sums[day] = (sums[day] or overlay_sum(overlay, day)) + requests
  sums[month] = (sums[month] or overlay_sum(overlay, month)) + requests
end

-- Tells which sums of requests come to zero and go, and how many come into being.
local function overlay_gone(overlay)
  local gone, come = {}, 0
  for field, sum in pairs(overlay.sums) do
    local stored = overlay.stored_sums[field]
    if sum == 0 and stored ~= 0 then gone[#gone + 1] = field end
    if sum ~= 0 and stored == 0 then come = come + 1 end
  end
  return gone, come
end

-- Plans to write the sums that changed, after the items put since `after`, and to take out some fields.
local function overlay_plan(overlay, after, drops)
  for field, sum in pairs(overlay.sums) do
    if sum ~= 0 and sum ~= overlay.stored_sums[field] then plan_add(field, string.format('%d', sum)) end
  end
  plan_add('~available', int_format(overlay.hi, overlay.lo))
  plan_command('HSET', overlay.key, after)
  after = planned_count
  for index = 1, #drops do planned[after + index] = drops[index] end
  planned_count = after + #drops
  if #drops > 0 then plan_command('HDEL', overlay.key, after) end
end

-- Plans to drop items that are in flight, named without repetition, from a hash of `size` fields; the key goes with the
-- last. Should the sum of amounts then reach 2^63, it is stored all the same, since the limbs carry it.
local function overlay_drop(key, size, found)
  local count = #found
  found[count + 1] = '~available'
  local values = fields_get(key, found, count + 1)
  found[count + 1] = nil
  local overlay = overlay_of(key, values[count + 1])
  for index = 1, count do
    local hi, lo, tail = stored_parse(key, values[index])
    overlay.hi, overlay.lo = int_sub(overlay.hi, overlay.lo, hi, lo)
    if tail.requests ~= 0 then add_requests(overlay, tail.windows, -tail.requests) end
  end
  local drops, come = overlay_gone(overlay)
  if size - count - #drops + come == 1 then
    plan_command('DEL', key, planned_count)
    return
  end
  for index = 1, count do drops[#drops + 1] = found[index] end
  overlay_plan(overlay, planned_count, drops)
end
