-- Purpose: sets the quota hash of many tenants of one bucket to the ledger at a seq, and drops the items in flight that this
--   seq contains. The only script that writes a quota hash.
-- KEYS: per tenant its quota hash and its in-flight hash; all in one hash slot, no tenant twice.
-- ARGV: per tenant: the version that the hash must have, `-` for "must be missing"; onlyIfNoInflight (0/1); the ten values
--   balance, credit_limit, daily_quota, daily_used, daily_date, monthly_quota, monthly_used, monthly_month, version, held
--   (amounts in nano-units, quotas in requests or `unlimited`); the drops, each ended by a newline:
--   `=TRACE:PHASE` that item, `*TRACE` all four phases of that trace.
-- Replies: one string per tenant, in order. `projected:N` with N items dropped; `moved`: the hash has another version;
--   `inflight`: onlyIfNoInflight was asked and something is in flight.
-- Unchanged on refusal: a tenant answered `moved` or `inflight` is not written; malformed arguments fail the whole call with
--   nothing written. Items not named stay, so a concurrent deduction is never erased.
-- Idempotent: a repetition is answered `moved`.
-- Cost: per tenant one HGET, one HSET, and with drops one HMGET, one HSET, one HDEL, one HLEN; O(N) in the drops.

local NAMES = { 'balance', 'credit_limit', 'daily_quota', 'daily_used', 'daily_date', 'monthly_quota', 'monthly_used',
  'monthly_month', 'version', 'held' }
local AMOUNT, COUNT, DAY, MONTH = '^%-?%d+$', '^%d+$', '^%d%d%d%d%-%d%d%-%d%d$', '^%d%d%d%d%-%d%d$'
local SHAPES = { AMOUNT, AMOUNT, COUNT, COUNT, DAY, COUNT, COUNT, MONTH, COUNT, AMOUNT }
-- Where the value of daily_date stands among the names and values of HSET.
local DAILY_DATE_AT = 10
local QUOTAS = { daily_quota = true, monthly_quota = true }

-- Reads the ten values as the arguments of HSET.
local function values_read(first)
  local values = {}
  for index, name in ipairs(NAMES) do
    local value = ARGV[first + index - 1]
    if not string.find(value or '', SHAPES[index]) and not (QUOTAS[name] and value == 'unlimited') then
      error('the value of ' .. name .. ' is malformed')
    end
    values[#values + 1] = name
    values[#values + 1] = value
  end
  return values
end

-- Reads the drops as the fields they name.
local function drops_read(packed)
  local fields, length = {}, 0
  for kind, name in string.gmatch(packed, '([=*])(%w[^\n]*)\n') do
    length = length + #name + 2
    if kind == '*' then
      for _, phase in ipairs({ ':p', ':c', ':v', ':x' }) do fields[#fields + 1] = name .. phase end
    elseif is_item_field(name) then
      fields[#fields + 1] = name
    else
      error('a drop is neither =TRACE:PHASE nor *TRACE')
    end
  end
  if length ~= #packed then error('a drop is neither =TRACE:PHASE nor *TRACE') end
  return fields
end

-- Drops the fields from a copy of the overlay; returns the copy and the count of those that were there. The sums of the
-- projected day and month are read along, since most items count there.
local function overlay_without(inflight_key, fields, day)
  local windows = windows_of(day)
  local wanted = { windows.day_field, windows.month_field }
  for _, field in ipairs(fields) do wanted[#wanted + 1] = field end
  local overlay, dropped = overlay_open(inflight_key, wanted), 0
  for _, field in ipairs(fields) do
    if overlay_drop(overlay, field) then dropped = dropped + 1 end
  end
  return overlay, dropped
end

-- Decides one tenant; returns its reply, and what to write when it is projected.
local function tenant_decide(quota_key, inflight_key, expected, only_if_no_inflight, values, fields)
  if (redis.call('HGET', quota_key, 'version') or '-') ~= expected then return 'moved' end
  if only_if_no_inflight == '1' and redis.call('EXISTS', inflight_key) == 1 then return 'inflight' end
  local plan = { key = quota_key, values = values }
  if #fields == 0 then return 'projected:0', plan end
  local dropped
  plan.overlay, dropped = overlay_without(inflight_key, fields, values[DAILY_DATE_AT])
  return 'projected:' .. dropped, plan
end

-- checks
if #KEYS == 0 or #KEYS % 2 ~= 0 then error('keys come in pairs of quota and in-flight') end
local replies, plans, seen, at = {}, {}, {}, 1
for pair = 1, #KEYS, 2 do
  local expected, only_if_no_inflight, packed = ARGV[at], ARGV[at + 1], ARGV[at + 12]
  if not packed or (only_if_no_inflight ~= '0' and only_if_no_inflight ~= '1') then
    error('a tenant needs an expected version, a 0/1 flag, ten values and its drops')
  end
  if seen[KEYS[pair]] then error('a tenant is named twice: ' .. KEYS[pair]) end
  seen[KEYS[pair]] = true
  local values, fields = values_read(at + 2), drops_read(packed)
  local reply, plan = tenant_decide(KEYS[pair], KEYS[pair + 1], expected, only_if_no_inflight, values, fields)
  replies[#replies + 1] = reply
  plans[#plans + 1] = plan
  at = at + 13
end
if at ~= #ARGV + 1 then error('the count of arguments does not match the count of tenants') end

-- writes
for _, plan in ipairs(plans) do
  redis.call('HSET', plan.key, unpack(plan.values))
  if plan.overlay then overlay_write(plan.overlay) end
end
return replies
