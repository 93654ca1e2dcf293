-- Purpose: a gateway's admission check: holds the estimate of one trace, by the same rule as quota-deduct.
-- KEYS: the quota hash and the in-flight hash of the tenant.
-- ARGV: trace, amount to hold in nano-units (positive), the UTC day of the request (YYYY-MM-DD), two 0/1 flags: check
--   balance, check quotas, the time in ms.
-- Replies: `unhydrated` when the tenant has no quota hash, else one code of quota-rule.lua.
-- Unchanged on refusal: everything. A hold of the trace that is in flight already is answered `a` and left as it is, even
--   with another amount: the ledger may have corrected it.
-- Idempotent: by the field TRACE:p.
-- Cost: two HMGET, a third where a quota is limited, and one HSET; O(1).

-- checks
local trace, amount, day, checks, now_ms = unpack(ARGV)
if #KEYS ~= 2 or #ARGV ~= 5 then error('a hold needs 2 keys and 5 arguments') end
if #amount > 19 or not string.find(amount, '^[1-9]%d*$') then error('the amount to hold is no positive integer') end
if not string.find(now_ms, '^%d+$') then error('the time is no integer of milliseconds') end
local field = trace .. ':p'
if not is_item_field(field) then error('the trace does not start as a trace id does') end
local terms = terms_read(checks .. '|1|' .. day, now_ms)
local position = position_read(KEYS[1], terms.quota)
if not position then return 'unhydrated' end
local windows = terms.windows
local read = redis.call('HMGET', KEYS[2], field, '~available', windows.day_field, windows.month_field)
if read[1] then return 'a' end
local overlay = overlay_of(KEYS[2], read[2])
overlay_note(overlay, windows.day_field, read[3])
overlay_note(overlay, windows.month_field, read[4])
local code, value = decide_item(position, overlay, '-' .. amount, terms, nil)
if not value then return code end
plan_add(field, value)
overlay_plan(overlay, 0, (overlay_gone(overlay)))

-- writes
plan_write()
return code
