-- Purpose: decides, for many tenants of one bucket, a vector of changes each, and puts the granted ones in flight.
-- KEYS: per tenant its quota hash and its in-flight hash; all in one hash slot, no tenant twice.
-- ARGV: the time in ms; then per tenant the ledger's seq of the tenant, and its items, each ended by a newline:
--   TRACE:PHASE, two 0/1 flags (check balance, check quotas), and AVAIL|REQUESTS|DAY as it is stored (the signed change of
--   the available amount in nano-units, of the request count -1, 0 or 1, the UTC day of its windows YYYY-MM-DD), separated
--   by blanks. One argument a tenant, since arguments are what a call is slow to make and to read.
-- Replies: one string per tenant, in order. `unhydrated`: it has no quota hash. `ahead:VERSION`: the hash knows more than
--   the ledger, which was restored. Else the codes of quota-rule.lua, one per item, joined by a blank.
-- Unchanged on refusal: a refused item leaves no trace; an unhydrated or ahead tenant is not written; malformed arguments or
--   a malformed hash fail the whole call with nothing written, since all tenants are checked before the first write.
-- Idempotent: an item in flight is answered `a` and never checked or counted again.
-- Cost: two HMGET and one HSET per tenant with a granted item; O(N) in the items of the call, never in those in flight.

-- Reads the items of one tenant, and the fields that deciding them needs.
local function items_read(packed)
  local items, fields, known, length = {}, {}, {}, 0
  for field, checks, text in string.gmatch(packed, '([^ \n]+) (%d%d) ([^ \n]+)\n') do
    if not is_item_field(field) then error('an item needs a field TRACE:PHASE') end
    local item = item_read(text, checks)
    item.field = field
    items[#items + 1] = item
    fields[#fields + 1] = field
    length = length + #field + #checks + #text + 3
    if item.requests ~= 0 then known[item.windows] = true end
  end
  if length ~= #packed then error('the items of a tenant are malformed') end
  for windows in pairs(known) do
    fields[#fields + 1] = windows.day_field
    fields[#fields + 1] = windows.month_field
  end
  return items, fields
end

-- Decides the items of one tenant; returns its reply, and its overlay when there may be something to write.
local function tenant_decide(quota_key, inflight_key, ledger_seq, items, fields, now_ms)
  local position = position_read(quota_key)
  if not position then return 'unhydrated' end
  if position.version > ledger_seq then return string.format('ahead:%.0f', position.version) end
  local overlay = overlay_open(inflight_key, fields)
  local codes = {}
  for index, item in ipairs(items) do
    codes[index] = decide_item(position, overlay, item.field, item, now_ms)
  end
  return table.concat(codes, ' '), overlay
end

-- checks
local now_ms = ARGV[1]
if not string.find(now_ms or '', '^%d+$') then error('the time is no integer of milliseconds') end
if #KEYS == 0 or #KEYS % 2 ~= 0 then error('keys come in pairs of quota and in-flight') end
local replies, overlays, seen, at = {}, {}, {}, 2
for pair = 1, #KEYS, 2 do
  local ledger_seq, packed = tonumber(ARGV[at]), ARGV[at + 1]
  if not ledger_seq or not packed then error('a tenant needs the seq of its ledger and its items') end
  if seen[KEYS[pair]] then error('a tenant is named twice: ' .. KEYS[pair]) end
  seen[KEYS[pair]] = true
  local items, fields = items_read(packed)
  local reply, overlay = tenant_decide(KEYS[pair], KEYS[pair + 1], ledger_seq, items, fields, now_ms)
  replies[#replies + 1] = reply
  overlays[#overlays + 1] = overlay
  at = at + 2
end
if at ~= #ARGV + 1 then error('the count of arguments does not match the count of tenants') end

-- writes
for _, overlay in ipairs(overlays) do overlay_write(overlay) end
return replies
