-- Purpose: a gateway's admission check: holds the estimate of one trace, by the same rule as quota-deduct.
-- KEYS: the quota hash and the in-flight hash of the tenant.
-- ARGV: trace, amount to hold in nano-units (positive), the UTC day of the request (YYYY-MM-DD), two 0/1 flags: check
--   balance, check quotas, the time in ms.
-- Replies: `unhydrated` when the tenant has no quota hash, else one code of quota-rule.lua.
-- Unchanged on refusal: everything. A hold of the trace that is in flight already is answered `a` and left as it is, even
--   with another amount: the ledger may have corrected it.
-- Idempotent: by the field TRACE:p.
-- Cost: two HMGET and one HSET; O(1).

-- checks
local trace, amount, day, checks, now_ms = unpack(ARGV)
if #KEYS ~= 2 or #ARGV ~= 5 then error('a hold needs 2 keys and 5 arguments') end
if not string.find(amount, '^[1-9]%d*$') then error('the amount to hold is no positive integer') end
if not string.find(now_ms, '^%d+$') then error('the time is no integer of milliseconds') end
local field = trace .. ':p'
if not is_item_field(field) then error('the trace does not start with a letter or digit') end
local item = item_read('-' .. amount .. '|1|' .. day, checks)
local position = position_read(KEYS[1])
if not position then return 'unhydrated' end
local overlay = overlay_open(KEYS[2], { field, item.windows.day_field, item.windows.month_field })
if overlay.stored[field] then return 'a' end
local code = decide_item(position, overlay, field, item, now_ms)

-- writes
overlay_write(overlay)
return code
