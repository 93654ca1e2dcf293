-- Purpose: the rule of src/ledger/quota-rule.ts in Lua, over the quota hash plus the in-flight overlay. Prepended to the
--   scripts that decide (deduct and hold), after inflight-overlay.lua; it defines local functions only and writes nothing.
-- Formula: available = balance + credit_limit - held + ~available. Used in day D = ~day:D, plus daily_used when the hash
--   counts D itself, plus 0 when D is later; a D before the day of the hash is past and never refused. Months alike.
-- Order: INSUFFICIENT_BALANCE, DAILY_QUOTA_EXCEEDED, MONTHLY_QUOTA_EXCEEDED, out of range.
-- Codes of one item: g granted; a already in flight; b:REQUIRED:AVAILABLE in nano-units; d:LIMIT:USED and m:LIMIT:USED in
--   requests; o out of range, the sum of amounts in flight would reach 2^63.
-- Unchanged on refusal: everything, also the copy of the overlay.
-- Cost: one HMGET to read a position; O(1) a decision.

-- An unlimited quota is one that no count exceeds.
local function quota_limit(text)
  if text == 'unlimited' then return math.huge end
  return tonumber(text)
end

-- Reads what the quota hash says; returns nil when it is missing, which is when it has no version.
local function position_read(key)
  local version, balance, credit_limit, held, daily_quota, daily_used, daily_date, monthly_quota, monthly_used,
    monthly_month = unpack(redis.call('HMGET', key, 'version', 'balance', 'credit_limit', 'held', 'daily_quota',
    'daily_used', 'daily_date', 'monthly_quota', 'monthly_used', 'monthly_month'))
  if not version then return nil end
  if not (balance and credit_limit and held and daily_quota and daily_used and daily_date and monthly_quota
    and monthly_used and monthly_month) then
    error('the quota hash ' .. key .. ' is incomplete: only quota-project writes it')
  end
  local balance_hi, balance_lo = int_parse(balance)
  local credit_hi, credit_lo = int_parse(credit_limit)
  local held_hi, held_lo = int_parse(held)
  local hi, lo = int_add(balance_hi, balance_lo, credit_hi, credit_lo)
  hi, lo = int_sub(hi, lo, held_hi, held_lo)
  return {
    version = tonumber(version), hi = hi, lo = lo,
    daily_limit = quota_limit(daily_quota), daily_used = tonumber(daily_used), daily_date = daily_date,
    monthly_limit = quota_limit(monthly_quota), monthly_used = tonumber(monthly_used), monthly_month = monthly_month,
  }
end

-- Which checks an item asks for, as two 0/1 flags: of the balance, then of the quotas.
local CHECKS = {
  ['00'] = { balance = false, quota = false },
  ['01'] = { balance = false, quota = true },
  ['10'] = { balance = true, quota = false },
  ['11'] = { balance = true, quota = true },
}

-- Reads one wanted change from AVAIL|REQUESTS|DAY, as it is stored, and its checks; fails, before anything is written, on
-- a shape that is not allowed.
local function item_read(text, checks)
  local hi, lo, requests, windows = item_parse(text or '')
  if not hi or not CHECKS[checks] then error('an item needs AVAIL|REQUESTS|DAY and two 0/1 flags, not ' .. tostring(text)) end
  return { text = text, hi = hi, lo = lo, requests = requests, windows = windows, checks = CHECKS[checks] }
end

-- Requests used in a window when the hash counts `used` in `current`; nil for a window already past. Dates have one fixed
-- form, so comparing them as strings is comparing them as dates, in any locale.
local function used_in(window, current, used, in_flight)
  if window == current then return used + in_flight end
  if window > current then return in_flight end
  return nil
end

-- Returns the code of the quota that the item exceeds, or nil.
local function quota_refusal(position, overlay, item)
  local windows = item.windows
  local daily = used_in(windows.day, position.daily_date, position.daily_used, overlay_sum(overlay, windows.day_field))
  if daily and daily + item.requests > position.daily_limit then
    return string.format('d:%.0f:%.0f', position.daily_limit, daily)
  end
  local monthly = used_in(windows.month, position.monthly_month, position.monthly_used,
    overlay_sum(overlay, windows.month_field))
  if monthly and monthly + item.requests > position.monthly_limit then
    return string.format('m:%.0f:%.0f', position.monthly_limit, monthly)
  end
  return nil
end

-- Returns the code of the refusal, or nil when the rule grants the item.
local function refusal_of(position, overlay, item)
  if item.checks.balance and item.hi < 0 then
    local hi, lo = int_add(position.hi, position.lo, overlay.hi, overlay.lo)
    if int_add(hi, lo, item.hi, item.lo) < 0 then
      return 'b:' .. int_format(int_sub(0, 0, item.hi, item.lo)) .. ':' .. int_format(hi, lo)
    end
  end
  if not item.checks.quota or item.requests <= 0 then return nil end
  return quota_refusal(position, overlay, item)
end

-- Decides one item and, when it is granted, puts it into the copy of the overlay, where the next item sees it. An item in
-- flight is never checked again; what differs from it is put in its place.
local function decide_item(position, overlay, field, item, now_ms)
  local old = overlay.stored[field]
  if old then
    if string.sub(old, 1, #item.text + 1) == item.text .. '|' then return 'a' end
    return overlay_put(overlay, field, item, now_ms) and 'a' or 'o'
  end
  local refusal = refusal_of(position, overlay, item)
  if refusal then return refusal end
  return overlay_put(overlay, field, item, now_ms) and 'g' or 'o'
end
