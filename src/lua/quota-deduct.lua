-- Purpose: decides, for many tenants of one bucket, a vector of changes each, and puts the granted ones in flight.
-- KEYS: per tenant its quota hash and its in-flight hash; all in one hash slot, no tenant twice.
-- ARGV: the time in ms; then per tenant the ledger's seq of the tenant, and its items: three texts each, every text ended by
--   a zero byte: TRACE:PHASE; the signed change of the available amount in nano-units; CHECKS|REQUESTS|DAY, which are two 0/1
--   flags (check balance, check quotas), the change of the request count (-1, 0 or 1), the UTC day of its windows
--   (YYYY-MM-DD). One argument a tenant, since arguments are what a call is slow to make and to read.
-- Replies: one string per tenant, in order. `unhydrated`: it has no quota hash. `ahead:VERSION`: the hash knows more than
--   the ledger, which was restored. `granted`: every item, now. Else the codes of quota-rule.lua, one per item, joined by a
--   blank.
-- Unchanged on refusal: a refused item leaves no trace; an unhydrated or ahead tenant is not written; malformed arguments or
--   a malformed hash fail the whole call with nothing written, since all tenants are checked before the first write.
-- Idempotent: an item in flight is answered `a` and never checked or counted again.
-- Cost: two HMGET and one HSET per tenant with a granted item; O(N) in the items of the call, never in those in flight.

-- The items of the tenant at hand, used anew for each: their fields, followed by those of sums; their amounts; their terms.
local fields, amounts, terms_of = {}, {}, {}

-- Field -> where in the plan its value stands, once an item of this call was put there.
local placed = {}

-- A local is reached faster than a global, which counts where it is called for every item.
local cut, find = struct.unpack, string.find

-- Reads the items of one tenant; returns their count, whether a quota is asked for, and the first windows that requests
-- change: the sums of those are read along with the items, those of others when they are needed.
local function items_read(packed, now_ms)
  local count, at, asks_quota, windows = 0, 1, false, nil
  while at <= #packed do
    local field, amount, text
    field, amount, text, at = cut('sss', packed, at)
    if not is_item_field(field) then error('an item needs a field TRACE:PHASE, not ' .. field) end
    if #amount > 20 or not find(amount, '^%-?%d+$') then error('an amount is no integer: ' .. amount) end
    local terms = terms_read(text, now_ms)
    if terms.quota then asks_quota = true end
    if terms.requests ~= 0 then windows = windows or terms.windows end
    count = count + 1
    fields[count], amounts[count], terms_of[count] = field, amount, terms
  end
  return count, asks_quota, windows
end

-- Opens the overlay for the items at hand; returns it and what is in flight under their fields.
local function overlay_open(key, count, windows)
  fields[count + 1] = '~available'
  if not windows then
    local values = fields_get(key, fields, count + 1)
    return overlay_of(key, values[count + 1]), values
  end
  fields[count + 2], fields[count + 3] = windows.day_field, windows.month_field
  local values = fields_get(key, fields, count + 3)
  local overlay = overlay_of(key, values[count + 1])
  overlay_note(overlay, windows.day_field, values[count + 2])
  overlay_note(overlay, windows.month_field, values[count + 3])
  return overlay, values
end

-- Decides the items at hand and plans what is to be written; returns the reply.
local function items_decide(position, overlay, values, count)
  local after, codes = planned_count, nil
  for index = 1, count do
    local field = fields[index]
    local place, old = placed[field], values[index]
    if place and place > after then old = planned[place] else place = nil end
    local code, value = decide_item(position, overlay, amounts[index], terms_of[index], old)
    if value and place then
      planned[place] = value
    elseif value then
      plan_add(field, value)
      placed[field] = planned_count
    end
    if codes then
      codes[index] = code
    elseif code ~= 'g' then
      codes = {}
      for before = 1, index - 1 do codes[before] = 'g' end
      codes[index] = code
    end
  end
  if planned_count > after then overlay_plan(overlay, after, (overlay_gone(overlay))) end
  if codes then return table.concat(codes, ' ') end
  return 'granted'
end

-- Decides one tenant; returns its reply.
local function tenant_decide(quota_key, inflight_key, ledger_seq, packed, now_ms)
  local count, asks_quota, windows = items_read(packed, now_ms)
  local position = position_read(quota_key, asks_quota)
  if not position then return 'unhydrated' end
  if position.version > ledger_seq then return string.format('ahead:%.0f', position.version) end
  local overlay, values = overlay_open(inflight_key, count, windows)
  return items_decide(position, overlay, values, count)
end

-- checks
local now_ms = ARGV[1]
if not string.find(now_ms or '', '^%d+$') then error('the time is no integer of milliseconds') end
if #KEYS == 0 or #KEYS % 2 ~= 0 then error('keys come in pairs of quota and in-flight') end
local replies, seen, at = {}, {}, 2
for pair = 1, #KEYS, 2 do
  local quota_key, ledger_seq, packed = KEYS[pair], tonumber(ARGV[at]), ARGV[at + 1]
  if not ledger_seq or not packed then error('a tenant needs the seq of its ledger and its items') end
  if seen[quota_key] then error('a tenant is named twice: ' .. quota_key) end
  seen[quota_key] = true
  replies[#replies + 1] = tenant_decide(quota_key, KEYS[pair + 1], ledger_seq, packed, now_ms)
  at = at + 2
end
if at ~= #ARGV + 1 then error('the count of arguments does not match the count of tenants') end

-- writes
plan_write()
return replies
