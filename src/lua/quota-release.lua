-- Purpose: gives back the hold of one trace that a gateway admitted and then did not run.
-- KEYS: the in-flight hash of the tenant.
-- ARGV: trace.
-- Replies: 1 when the hold was in flight and is dropped, else 0.
-- Unchanged on refusal: everything; there is none but malformed arguments. Charges, voids and expiries stay.
-- Idempotent: a second release finds nothing.
-- Cost: one HMGET, two HGET, one HSET, one HDEL, one HLEN; O(1).

-- checks
if #KEYS ~= 1 or #ARGV ~= 1 then error('a release needs 1 key and 1 argument') end
local field = ARGV[1] .. ':p'
if not is_item_field(field) then error('the trace does not start with a letter or digit') end
local overlay = overlay_open(KEYS[1], { field })
if not overlay_drop(overlay, field) then return 0 end

-- writes
overlay_write(overlay)
return 1
