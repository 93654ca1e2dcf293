-- Purpose: sets the quota hash of many tenants of one bucket to the ledger at a seq, and drops the items in flight that this
--   seq contains. The only script that writes a quota hash.
-- KEYS: per tenant its quota hash and its in-flight hash; all in one hash slot, no tenant twice.
-- ARGV: three per tenant.
--   1. Separated by blanks: the version that the hash must have, `-` for "must be missing"; onlyIfNoInflight (0/1); the eleven
--      values balance, credit_limit, daily_quota, daily_used, daily_date, monthly_quota, monthly_used, monthly_month, version,
--      held, past_counts (amounts in nano-units, quotas in requests or `unlimited`, counts as quota-rule.lua reads them).
--   2. The items to drop, TRACE:PHASE, each ended by a zero byte.
--   3. The traces of which all items are to be dropped, each ended by a zero byte.
-- Replies: one string per tenant, in order. `projected:N` with N items dropped; `moved`: the hash has another version;
--   `inflight`: onlyIfNoInflight was asked and something is in flight.
-- Unchanged on refusal: a tenant answered `moved` or `inflight` is not written; malformed arguments fail the whole call with
--   nothing written. Items not named stay, so a concurrent deduction is never erased.
-- Idempotent: a repetition is answered `moved`.
-- Cost: per tenant one HGET, one HSET, and with drops one HLEN; where something is in flight one HKEYS and one DEL, when the
--   ledger contains all of it; else also one HMGET, one HSET, one HDEL. O(N) in the drops: where more is in flight than they
--   could name, their fields are asked for by name instead of HKEYS.

-- The shape of the first argument: one pattern for all of it, for each costs more than it reads.
local HEAD = '^([%d-]+) ([01]) (%-?%d+) (%-?%d+) (%w+) (%d+) (%d%d%d%d%-%d%d%-%d%d) (%w+) (%d+) (%d%d%d%d%-%d%d) (%d+) (%-?%d+) ([%d,]*|[%d,]*)$'
local PHASE_ENDS = { ':p', ':c', ':v', ':x' }

-- A local is reached faster than a global, which counts where it is called for every item.
local cut, part_of = struct.unpack, string.sub

local function is_quota(text) return text == 'unlimited' or string.find(text, '^%d+$') end

-- Reads the first argument: the version that the hash must have, the flag, and the arguments of HSET.
local function head_read(head)
  local expected, only_if_no_inflight, balance, credit_limit, daily_quota, daily_used, daily_date, monthly_quota,
    monthly_used, monthly_month, version, held, past_counts = string.match(head, HEAD)
  if not expected or not is_quota(daily_quota) or not is_quota(monthly_quota) then
    error('a tenant needs an expected version, a 0/1 flag and eleven values, not ' .. head)
  end
  return expected, only_if_no_inflight, {
    'balance', balance, 'credit_limit', credit_limit, 'daily_quota', daily_quota, 'daily_used', daily_used,
    'daily_date', daily_date, 'monthly_quota', monthly_quota, 'monthly_used', monthly_used,
    'monthly_month', monthly_month, 'version', version, 'held', held,
    'past_counts', past_counts,
  }
end

-- Reads names that each end by a zero byte, as a set; returns it and their count.
local function names_read(packed, is_name)
  local names, count, at = {}, 0, 1
  while at <= #packed do
    local name
    name, at = cut('s', packed, at)
    if not is_name(name) then error('a drop is neither an item nor a trace: ' .. name) end
    names[name] = true
    count = count + 1
  end
  return names, count
end

-- Finds the fields to drop among all that are there; returns them, and the count of the sums.
local function landed_among_all(key, items, traces)
  local all, found, count, sums = redis.call('HKEYS', key), {}, 0, 0
  for index = 1, #all do
    local field = all[index]
    if items[field] or traces[part_of(field, 1, -3)] then
      count = count + 1
      found[count] = field
    elseif byte_of(field) == 126 then
      sums = sums + 1
    end
  end
  return found, sums
end

-- Finds the fields to drop by asking for each that the drops could name.
local function landed_by_name(key, items, traces)
  local names, found = {}, {}
  for field in pairs(items) do
    if not traces[string.sub(field, 1, -3)] then names[#names + 1] = field end
  end
  for trace in pairs(traces) do
    for _, phase in ipairs(PHASE_ENDS) do names[#names + 1] = trace .. phase end
  end
  local values = fields_get(key, names, #names)
  for index = 1, #names do
    if values[index] then found[#found + 1] = names[index] end
  end
  return found
end

-- Plans to drop what has landed of an overlay of `size` fields; returns the count of items.
local function landed_drop(key, size, items, items_count, traces, traces_count)
  if size > items_count + 4 * traces_count + 16 then
    local found = landed_by_name(key, items, traces)
    if #found > 0 then overlay_drop(key, size, found) end
    return #found
  end
  local found, sums = landed_among_all(key, items, traces)
  if #found == 0 then return 0 end
  if #found + sums == size then
    plan_command('DEL', key, planned_count)
  else
    overlay_drop(key, size, found)
  end
  return #found
end

-- Decides one tenant and plans what is to be written; returns its reply.
local function tenant_decide(quota_key, inflight_key, head, packed_items, packed_traces)
  local expected, only_if_no_inflight, values = head_read(head)
  local items, items_count = names_read(packed_items, is_item_field)
  local traces, traces_count = names_read(packed_traces, is_trace)
  if (redis.call('HGET', quota_key, 'version') or '-') ~= expected then return 'moved' end
  local reply, drops = 'projected:0', items_count + traces_count > 0
  if drops or only_if_no_inflight == '1' then
    local size = redis.call('HLEN', inflight_key)
    if size > 0 and only_if_no_inflight == '1' then return 'inflight' end
    if size > 0 then
      reply = 'projected:' .. landed_drop(inflight_key, size, items, items_count, traces, traces_count)
    end
  end
  local after = planned_count
  for index = 1, 22 do planned[after + index] = values[index] end
  planned_count = after + 22
  plan_command('HSET', quota_key, after)
  return reply
end

-- checks
if #KEYS == 0 or #KEYS % 2 ~= 0 then error('keys come in pairs of quota and in-flight') end
if 2 * #ARGV ~= 3 * #KEYS then error('a tenant needs an expected version, a 0/1 flag, eleven values and its drops') end
local replies, seen = {}, {}
for tenant = 1, #KEYS / 2 do
  local quota_key, at = KEYS[2 * tenant - 1], 3 * tenant
  if seen[quota_key] then error('a tenant is named twice: ' .. quota_key) end
  seen[quota_key] = true
  replies[tenant] = tenant_decide(quota_key, KEYS[2 * tenant], ARGV[at - 2], ARGV[at - 1], ARGV[at])
end

-- writes
plan_write()
return replies
