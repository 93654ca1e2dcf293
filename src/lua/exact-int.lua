-- Purpose: exact signed integers of at most 24 digits, for money inside Lua. Prepended to every script by
--   script-source.ts; it defines local functions only and touches no key.
-- Form: an integer is two limbs, value = hi * 1e9 + lo with 0 <= lo < 1e9; `hi` carries the sign (floor division). A Lua
--   number is a double, exact to 2^53 (9.0e15): an int64 needs |hi| < 1e10, so a million of them add up exactly.
-- Rejected: HINCRBY on scratch fields (its checks would have to write before they know whether they may, and an overflow
--   would leave the call half done); tonumber on a whole amount of more than 15 digits (2^53 and 2^53 + 1 compare as equal);
--   tostring (it rounds to 14 digits).
-- Replies: none. Unchanged on refusal: everything. Cost: O(1) an operation.

local LIMB = 1000000000
local number_of = tonumber

-- Reads text that is known to match ^-?%d+$ and to be at most 24 digits long; returns hi, lo. Up to 15 characters the whole
-- is exact in a double and is cut by arithmetic, which is cheaper than cutting strings.
local function int_of_digits(text)
  if #text <= 15 then
    local whole = number_of(text)
    local lo = whole % LIMB
    return (whole - lo) / LIMB, lo
  end
  local negative = string.byte(text) == 45
  local hi, lo = tonumber(string.sub(text, negative and 2 or 1, -10)), tonumber(string.sub(text, -9))
  if not negative then return hi, lo end
  if lo == 0 then return -hi, 0 end
  return -hi - 1, LIMB - lo
end

-- Reads a base-10 integer of at most 24 digits; returns hi, lo, or nothing when the text is no such integer.
local function int_parse(text)
  local _, last = string.find(text, '^%-?%d+$')
  if not last or last > (string.byte(text) == 45 and 25 or 24) then return nil end
  return int_of_digits(text)
end

-- Returns a + b.
local function int_add(a_hi, a_lo, b_hi, b_lo)
  local lo = a_lo + b_lo
  if lo >= LIMB then return a_hi + b_hi + 1, lo - LIMB end
  return a_hi + b_hi, lo
end

-- Returns a - b.
local function int_sub(a_hi, a_lo, b_hi, b_lo)
  local lo = a_lo - b_lo
  if lo < 0 then return a_hi - b_hi - 1, lo + LIMB end
  return a_hi - b_hi, lo
end

-- Tells whether the magnitude is below 2^63 = 9223372036854775808, so that the value may be stored.
local function int_in_range(hi, lo)
  if hi < 9223372036 and hi > -9223372037 then return true end
  return hi == 9223372036 and lo < 854775808 or hi == -9223372037 and lo > 145224192
end

-- Writes the integer in base 10, without leading zeros or a negative zero. Below 1e15 in magnitude the whole is exact in a
-- double; `%.0f` prints it digit by digit, unlike tostring.
local function int_format(hi, lo)
  if hi > -1000000 and hi < 1000000 then return string.format('%.0f', hi * LIMB + lo) end
  if hi >= 0 then return string.format('%.0f%09d', hi, lo) end
  hi, lo = int_sub(0, 0, hi, lo)
  return string.format('-%.0f%09d', hi, lo)
end
