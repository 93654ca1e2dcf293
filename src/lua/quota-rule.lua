-- Purpose: the rule of src/ledger/quota-rule.ts in Lua, over the quota hash plus the in-flight overlay. Prepended to the
--   scripts that decide (deduct and hold), after inflight-overlay.lua; it defines local functions only and writes nothing.
-- Formula: available = balance + credit_limit - held + ~available. Used in day D = ~day:D, plus daily_used when the hash
--   counts D itself, plus 0 when D is later, plus what past_counts says when D is earlier; a D before all that it counts is
--   never refused. Months alike. past_counts is DAYS|MONTHS: counts joined by commas, the first that of the day, or month,
--   before the newest; one that is missing is zero (src/ledger/request-windows.ts).
-- Order: INSUFFICIENT_BALANCE, DAILY_QUOTA_EXCEEDED, MONTHLY_QUOTA_EXCEEDED, out of range.
-- Codes of one item: g granted; a already in flight; b:REQUIRED:AVAILABLE in nano-units; d:LIMIT:USED and m:LIMIT:USED in
--   requests; o out of range, the sum of amounts in flight would reach 2^63.
-- Unchanged on refusal: everything, also the copy of the overlay.
-- Cost: one HMGET to read a position, two when it has a quota that is asked for, and one HGET when the window of an item is
--   not the newest one; O(1) a decision.

-- How many days and months before the newest are counted.
local PAST_DAYS, PAST_MONTHS = 59, 2

-- CHECKS|REQUESTS|DAY -> what it says and how it is stored: most items of a call share it.
local TERMS = {}

-- Reads what a wanted change says besides its amount: two 0/1 flags (check balance, check quotas), the change of the request
-- count, the day of its windows. Fails, before anything is written, on a shape that is not allowed.
local function terms_read(text, now_ms)
  local terms = TERMS[text]
  if terms then return terms end
  local balance, quota, requests, day = string.match(text, '^([01])([01])|(%-?[01])|([%d-]+)$')
  local windows = day and windows_of(day)
  if not windows then error('an item needs two 0/1 flags, -1, 0 or 1 requests, and a day, not ' .. text) end
  local start = '|' .. requests .. '|' .. day .. '|'
  requests = tonumber(requests)
  terms = {
    balance = balance == '1', quota = quota == '1' and requests > 0, requests = requests, windows = windows,
    start = start, stored = start .. now_ms,
  }
  TERMS[text] = terms
  return terms
end

-- An unlimited quota is one that no count exceeds.
local function quota_limit(text)
  if text == 'unlimited' then return math.huge end
  return tonumber(text)
end

local function fail_incomplete(key)
  error('the quota hash ' .. key .. ' is incomplete: only quota-project writes it')
end

-- Reads what the quota hash says of the windows, into a position with a limit.
local function position_read_used(position, key)
  local daily_used, daily_date, monthly_used, monthly_month =
    unpack(redis.call('HMGET', key, 'daily_used', 'daily_date', 'monthly_used', 'monthly_month'))
  if not (daily_used and daily_date and monthly_used and monthly_month) then fail_incomplete(key) end
  position.daily_used, position.daily_date = tonumber(daily_used), daily_date
  position.monthly_used, position.monthly_month = tonumber(monthly_used), monthly_month
  position.key = key
end

-- Reads what the quota hash says, of the windows only where a quota is asked for and limited; returns nil when it is missing,
-- which is when it has no version.
local function position_read(key, asks_quota)
  local read = redis.call('HMGET', key, 'version', 'balance', 'credit_limit', 'held', 'daily_quota', 'monthly_quota')
  local version, balance, credit_limit, held, daily_quota, monthly_quota = unpack(read)
  if not version then return nil end
  if not (balance and credit_limit and held and daily_quota and monthly_quota) then fail_incomplete(key) end
  local credit_hi, credit_lo = int_parse(credit_limit)
  local held_hi, held_lo = int_parse(held)
  local hi, lo = int_parse(balance)
  hi, lo = int_add(hi, lo, credit_hi, credit_lo)
  hi, lo = int_sub(hi, lo, held_hi, held_lo)
  local position = { version = tonumber(version), hi = hi, lo = lo, limited = false }
  if asks_quota and not (daily_quota == 'unlimited' and monthly_quota == 'unlimited') then
    position.limited = true
    position.daily_limit, position.monthly_limit = quota_limit(daily_quota), quota_limit(monthly_quota)
    position_read_used(position, key)
  end
  return position
end

-- The number of a day (YYYY-MM-DD), and of a month (YYYY-MM): of two that follow each other it differs by one.
local function day_number(day)
  local year, month, date = tonumber(string.sub(day, 1, 4)), tonumber(string.sub(day, 6, 7)), tonumber(string.sub(day, 9, 10))
  if month <= 2 then year, month = year - 1, month + 12 end
  local leap_days = math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  return 365 * year + leap_days + math.floor((153 * month - 457) / 5) + date
end

local function month_number(month) return tonumber(string.sub(month, 1, 4)) * 12 + tonumber(string.sub(month, 6, 7)) end

-- Returns what past_counts says of the day, or month, so many before the newest; `which` is the pattern of their list.
local function past_count(position, which, before)
  position.past_counts = position.past_counts or redis.call('HGET', position.key, 'past_counts')
  if not position.past_counts then fail_incomplete(position.key) end
  for count in string.gmatch(string.match(position.past_counts, which) or '', '%d+') do
    before = before - 1
    if before == 0 then return tonumber(count) end
  end
  return 0
end

-- Requests used on a day, in flight included; nil for a day too far back to be counted. Dates have one fixed form, so
-- comparing them as strings is comparing them as dates, in any locale.
local function used_on_day(position, day, in_flight)
  if day == position.daily_date then return position.daily_used + in_flight end
  if day > position.daily_date then return in_flight end
  local before = day_number(position.daily_date) - day_number(day)
  if before > PAST_DAYS then return nil end
  return past_count(position, '^([^|]*)|', before) + in_flight
end

-- Requests used in a month, as `used_on_day` tells those of a day.
local function used_in_month(position, month, in_flight)
  if month == position.monthly_month then return position.monthly_used + in_flight end
  if month > position.monthly_month then return in_flight end
  local before = month_number(position.monthly_month) - month_number(month)
  if before > PAST_MONTHS then return nil end
  return past_count(position, '|([^|]*)$', before) + in_flight
end

-- Returns the code of the quota that one more request exceeds, or nil.
local function quota_refusal(position, overlay, windows)
  local daily = used_on_day(position, windows.day, overlay_sum(overlay, windows.day_field))
  if daily and daily + 1 > position.daily_limit then
    return string.format('d:%.0f:%.0f', position.daily_limit, daily)
  end
  local monthly = used_in_month(position, windows.month, overlay_sum(overlay, windows.month_field))
  if monthly and monthly + 1 > position.monthly_limit then
    return string.format('m:%.0f:%.0f', position.monthly_limit, monthly)
  end
  return nil
end

-- Returns the code of the refusal, or nil when the rule grants an amount under its terms.
local function refusal_of(position, overlay, hi, lo, terms)
  if terms.balance and hi < 0 then
    local available_hi, available_lo = int_add(position.hi, position.lo, overlay.hi, overlay.lo)
    if int_add(available_hi, available_lo, hi, lo) < 0 then
      return 'b:' .. int_format(int_sub(0, 0, hi, lo)) .. ':' .. int_format(available_hi, available_lo)
    end
  end
  if terms.quota and position.limited then return quota_refusal(position, overlay, terms.windows) end
  return nil
end

-- Decides on an item that is in flight already: it is never checked again; what differs from it is put in its place, with
-- the creation time of the old. Returns the code, and what to store when that differs.
local function decide_again(overlay, amount, terms, old)
  local text = amount .. terms.start
  if string.sub(old, 1, #text) == text then return 'a' end
  local hi, lo = int_add(overlay.hi, overlay.lo, int_of_digits(amount))
  local old_hi, old_lo, tail = stored_parse(overlay.key, old)
  hi, lo = int_sub(hi, lo, old_hi, old_lo)
  if not int_in_range(hi, lo) then return 'o' end
  overlay.hi, overlay.lo = hi, lo
  if tail.requests ~= 0 then add_requests(overlay, tail.windows, -tail.requests) end
  if terms.requests ~= 0 then add_requests(overlay, terms.windows, terms.requests) end
  return 'a', text .. tail.created_ms
end

-- Decides one item: an amount under its terms, `old` what is in flight under its field. What is granted counts in the copy
-- of the overlay, where the next item sees it. Returns the code, and what to store when there is something to write.
local function decide_item(position, overlay, amount, terms, old)
  if old then return decide_again(overlay, amount, terms, old) end
  local hi, lo = int_of_digits(amount)
  local refusal = refusal_of(position, overlay, hi, lo, terms)
  if refusal then return refusal end
  hi, lo = int_add(overlay.hi, overlay.lo, hi, lo)
  if not int_in_range(hi, lo) then return 'o' end
  overlay.hi, overlay.lo = hi, lo
  if terms.requests ~= 0 then add_requests(overlay, terms.windows, terms.requests) end
  return 'g', amount .. terms.stored
end
