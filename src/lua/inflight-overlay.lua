-- Purpose: the in-flight overlay of one tenant: its items, and the running sums kept beside them. Prepended to every
--   script, after exact-int.lua; it defines local functions only.
-- KEYS: none of its own; every function is given the in-flight key by its script.
-- Layout of the in-flight hash:
--   TRACE:PHASE -> AVAIL|REQUESTS|DAY|CREATED_MS  one item; phase p hold, c charge, v void, x expiry; AVAIL in nano-units
--   ~available       -> sum of AVAIL, present as long as there is an item
--   ~day:YYYY-MM-DD  -> sum of REQUESTS of that day; absent at zero
--   ~month:YYYY-MM   -> sum of REQUESTS of that month; absent at zero
--   A trace id starts with a letter or digit, so no item can be mistaken for a sum. The last item takes the key with it.
-- Order: overlay_open and overlay_sum read; overlay_put and overlay_drop change the copy in Lua; overlay_write alone writes.
-- Unchanged on refusal: everything, as long as overlay_write was not called.
-- Cost: one HMGET in N fields to open, one HSET and at most one HDEL to write; O(N) in the fields named, never in the items
--   that are in flight.

-- unpack fails near 8,000 values; half of that leaves room.
local ARGUMENTS_MAX = 4000

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

-- Tells whether a field names an item: a trace id, a colon and one phase letter.
local function is_item_field(field) return string.find(field, '^%w.*:[pcvx]$') ~= nil end

-- Reads what an item is without its creation time, AVAIL|REQUESTS|DAY: hi and lo of the amount, requests, windows; or
-- nothing when the text is malformed.
local function item_parse(text)
  local avail, requests, day = string.match(text, '^(%-?%d+)|(%-?[01])|([%d-]+)$')
  if not avail or #avail > 20 then return nil end
  local windows = windows_of(day)
  if not windows then return nil end
  local hi, lo = int_of_digits(avail)
  return hi, lo, tonumber(requests), windows
end

-- Calls a command on a key with any number of arguments, in chunks.
local function call_chunked(command, key, arguments)
  for first = 1, #arguments, ARGUMENTS_MAX do
    redis.call(command, key, unpack(arguments, first, math.min(first + ARGUMENTS_MAX - 1, #arguments)))
  end
end

-- Reads a sum of requests; it counts requests, so a plain number holds it exactly.
local function overlay_sum(overlay, field)
  local sum = overlay.sums[field]
  if sum == nil then
    local stored = overlay.stored[field]
    if stored == nil then stored = redis.call('HGET', overlay.key, field) end
    sum = tonumber(stored or 0)
    overlay.sums[field] = sum
  end
  return sum
end

-- Opens the overlay of a key: one read (in chunks) of the sum of amounts and of the given fields, without repetition.
local function overlay_open(key, fields)
  fields[#fields + 1] = '~available'
  local stored = {}
  for first = 1, #fields, ARGUMENTS_MAX do
    local last = math.min(first + ARGUMENTS_MAX - 1, #fields)
    local values = redis.call('HMGET', key, unpack(fields, first, last))
    for index = 1, #values do stored[fields[first + index - 1]] = values[index] end
  end
  local hi, lo = int_parse(stored['~available'] or '0')
  if not hi then error('the ~available sum of ' .. key .. ' is no integer') end
  return { key = key, stored = stored, hi = hi, lo = lo, sums = {}, changed_sums = {}, puts = {}, drops = {} }
end

local function add_requests(overlay, windows, requests)
  if requests == 0 then return end
  local sums, changed, day, month = overlay.sums, overlay.changed_sums, windows.day_field, windows.month_field
  sums[day] = overlay_sum(overlay, day) + requests
  sums[month] = overlay_sum(overlay, month) + requests
  changed[day], changed[month] = true, true
end

-- Reads a stored item: hi and lo of the amount, requests, windows, creation time in ms as text.
local function stored_parse(overlay, value)
  local text, created_ms = string.match(value, '^(.*)|(%d+)$')
  local hi, lo, requests, windows = item_parse(text or '')
  if not hi then error('an item of ' .. overlay.key .. ' is malformed: ' .. value) end
  return hi, lo, requests, windows, created_ms
end

-- Puts an item into the copy, in the place of the one that its field holds; the creation time of that one is kept.
-- Returns false, and changes nothing, when the sum of amounts would reach 2^63 in magnitude.
local function overlay_put(overlay, field, item, now_ms)
  local created_ms, old_requests, old_windows = now_ms, 0, nil
  local hi, lo = int_add(overlay.hi, overlay.lo, item.hi, item.lo)
  if overlay.stored[field] then
    local old_hi, old_lo
    old_hi, old_lo, old_requests, old_windows, created_ms = stored_parse(overlay, overlay.stored[field])
    hi, lo = int_sub(hi, lo, old_hi, old_lo)
  end
  if not int_in_range(hi, lo) then return false end
  overlay.hi, overlay.lo = hi, lo
  add_requests(overlay, old_windows, -old_requests)
  add_requests(overlay, item.windows, item.requests)
  local value = item.text .. '|' .. created_ms
  overlay.stored[field] = value
  local puts, count = overlay.puts, #overlay.puts
  puts[count + 1], puts[count + 2] = field, value
  return true
end

-- Drops an item from the copy; returns whether it was there. Never refused: should the sum of amounts then reach 2^63, it
-- is stored all the same, since the limbs carry it.
local function overlay_drop(overlay, field)
  if not overlay.stored[field] then return false end
  local hi, lo, requests, windows = stored_parse(overlay, overlay.stored[field])
  overlay.hi, overlay.lo = int_sub(overlay.hi, overlay.lo, hi, lo)
  add_requests(overlay, windows, -requests)
  overlay.stored[field] = false
  overlay.drops[#overlay.drops + 1] = field
  return true
end

-- Writes what was put and dropped, with the sums. Deletes the key with its last item: then no sum of requests is left
-- either, so `~available` is its only field.
local function overlay_write(overlay)
  local puts, drops = overlay.puts, overlay.drops
  if #puts == 0 and #drops == 0 then return end
  for field in pairs(overlay.changed_sums) do
    if overlay.sums[field] == 0 then
      drops[#drops + 1] = field
    else
      puts[#puts + 1] = field
      puts[#puts + 1] = string.format('%d', overlay.sums[field])
    end
  end
  puts[#puts + 1] = '~available'
  puts[#puts + 1] = int_format(overlay.hi, overlay.lo)
  call_chunked('HSET', overlay.key, puts)
  if #drops == 0 then return end
  call_chunked('HDEL', overlay.key, drops)
  if redis.call('HLEN', overlay.key) == 1 then redis.call('DEL', overlay.key) end
end
