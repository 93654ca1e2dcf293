-- Purpose: takes out of the keys of many tenants of one bucket what no script of Tollbook writes there, and makes the
--   running sums of each overlay equal to its items. For repairs: one malformed value would fail every call that its tenant
--   shares with others.
-- KEYS: per tenant its quota hash and its in-flight hash; all in one hash slot, no tenant twice.
-- ARGV: per tenant the version of a quota hash to drop, since the ledger has no account of that tenant; `-` to drop none.
-- Replies: one string per tenant, in order: `HASHES:FIELDS:VERSION`, the count of quota hashes dropped (0 or 1), of fields of
--   the overlay set or taken out, and the version of the quota hash as it stands then; `-` when there is none.
-- Unchanged on refusal: malformed arguments fail the whole call with nothing written, since all is read before the first
--   write. A quota hash with a readable version stays as it is, whatever its other fields say: quota-project sets them. Items
--   that can be read stay, so a deduction is never erased.
-- Idempotent: a repetition finds nothing to do.
-- Cost: per tenant one TYPE, one HGET and one HGETALL; O(N) in the items in flight.

-- Tells whether a version is written as quota-project writes it; only then can a projection name it.
local function is_version(text) return #text <= 15 and string.find(text, '^[1-9]%d*$') ~= nil or text == '0' end

local function type_of(key) return redis.call('TYPE', key).ok end

-- Decides whether a quota hash is to be dropped: it is no hash, its version cannot be named, or it is the one to drop. Returns
-- that, and the version that stays.
local function hash_decide(key, unwanted)
  local kind = type_of(key)
  if kind == 'none' then return false, '-' end
  if kind ~= 'hash' then return true, '-' end
  local version = redis.call('HGET', key, 'version')
  if not version then return false, '-' end
  if not is_version(version) or version == unwanted then return true, '-' end
  return false, version
end

-- Reads an item of the overlay: hi and lo of its amount, requests, windows; or nothing when no script wrote it.
local function item_of(field, value)
  if not is_item_field(field) then return nil end
  local text, created_ms = string.match(value, '^(.*)|(%d+)$')
  if not text or #created_ms > 15 or string.find(text, '|-0|', 1, true) then return nil end
  return item_parse(text)
end

-- Adds requests to a sum, and takes a sum of zero out, as the scripts do.
local function add_to(sums, field, requests)
  local sum = (sums[field] or 0) + requests
  sums[field] = sum ~= 0 and sum or nil
end

-- Adds the items up; returns what the sums must be, those that are stored, and the fields that are neither item nor sum.
local function overlay_read(key)
  local fields = redis.call('HGETALL', key)
  local hi, lo, items, requests_by, stored, drops = 0, 0, 0, {}, {}, {}
  for at = 1, #fields, 2 do
    local field, value = fields[at], fields[at + 1]
    if string.sub(field, 1, 1) == '~' then
      stored[field] = value
    else
      local item_hi, item_lo, requests, windows = item_of(field, value)
      if item_hi then
        items = items + 1
        hi, lo = int_add(hi, lo, item_hi, item_lo)
        add_to(requests_by, windows.day_field, requests)
        add_to(requests_by, windows.month_field, requests)
      else
        drops[#drops + 1] = field
      end
    end
  end
  local wanted = {}
  for field, sum in pairs(requests_by) do wanted[field] = string.format('%d', sum) end
  if items > 0 then wanted['~available'] = int_format(hi, lo) end
  return wanted, stored, drops
end

-- Decides what of an overlay is to be set and taken out; returns nil when it is no hash and so goes as a whole.
local function overlay_plan(key)
  local kind = type_of(key)
  if kind == 'none' then return { key = key, sets = {}, drops = {} } end
  if kind ~= 'hash' then return nil end
  local wanted, stored, drops = overlay_read(key)
  local sets = {}
  for field, value in pairs(wanted) do
    if stored[field] ~= value then sets[#sets + 1], sets[#sets + 2] = field, value end
  end
  for field in pairs(stored) do
    if not wanted[field] then drops[#drops + 1] = field end
  end
  return { key = key, sets = sets, drops = drops }
end

-- checks
if #KEYS == 0 or #KEYS ~= 2 * #ARGV then error('a tenant needs its two keys and the version to drop, or -') end
local replies, dropped_keys, plans = {}, {}, {}
for tenant = 1, #ARGV do
  local quota_key, inflight_key, unwanted = KEYS[2 * tenant - 1], KEYS[2 * tenant], ARGV[tenant]
  if unwanted ~= '-' and not is_version(unwanted) then error('the version to drop is neither a version nor -') end
  local hash_dropped, version = hash_decide(quota_key, unwanted)
  if hash_dropped then dropped_keys[#dropped_keys + 1] = quota_key end
  local plan = overlay_plan(inflight_key)
  if plan then plans[#plans + 1] = plan else dropped_keys[#dropped_keys + 1] = inflight_key end
  local fields = plan and #plan.sets / 2 + #plan.drops or 1
  replies[tenant] = string.format('%d:%d:%s', hash_dropped and 1 or 0, fields, version)
end

-- writes
for _, key in ipairs(dropped_keys) do redis.call('DEL', key) end
for _, plan in ipairs(plans) do
  call_chunked('HSET', plan.key, plan.sets, 1, #plan.sets)
  call_chunked('HDEL', plan.key, plan.drops, 1, #plan.drops)
end
return replies
