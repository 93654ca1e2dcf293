-- Purpose: gives back the hold of one trace that a gateway admitted and then did not run.
-- KEYS: the in-flight hash of the tenant.
-- ARGV: trace.
-- Replies: 1 when the hold was in flight and is dropped, else 0.
-- Unchanged on refusal: everything; there is none but malformed arguments. Charges, voids and expiries stay.
-- Idempotent: a second release finds nothing.
-- Cost: one HLEN, one HEXISTS, one HMGET, two HGET, and one HSET with one HDEL or one DEL; O(1).

-- checks
if #KEYS ~= 1 or #ARGV ~= 1 then error('a release needs 1 key and 1 argument') end
local field = ARGV[1] .. ':p'
if not is_item_field(field) then error('the trace does not start as a trace id does') end
local size = redis.call('HLEN', KEYS[1])
if size == 0 or redis.call('HEXISTS', KEYS[1], field) == 0 then return 0 end
overlay_drop(KEYS[1], size, { field })

-- writes
plan_write()
return 1
