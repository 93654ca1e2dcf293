/** The limb arithmetic of exact-int.lua equals bigint, on a real Redis. */
import { expect } from 'chai';
import fc from 'fast-check';
import { readLua } from '../../src/lua/script-source.js';
import { type TestRedis, openTestRedis } from '../model/test-redis.js';
import { propertySeed } from '../model/property-seed.js';

const HARNESS = `
${readLua('exact-int')}
local results = {}
for index = 1, #ARGV, 2 do
  local a_hi, a_lo = int_parse(ARGV[index])
  local b_hi, b_lo = int_parse(ARGV[index + 1])
  results[#results + 1] = table.concat({
    int_format(a_hi, a_lo),
    int_format(int_add(a_hi, a_lo, b_hi, b_lo)),
    int_format(int_sub(a_hi, a_lo, b_hi, b_lo)),
    tostring(int_sub(a_hi, a_lo, b_hi, b_lo) < 0),
    tostring(int_in_range(a_hi, a_lo)),
  }, ' ')
end
return results`;

const LIMIT = 2n ** 63n;

const edges = [
  0n,
  999_999_999n,
  10n ** 9n,
  2n ** 31n,
  2n ** 53n,
  10n ** 14n,
  10n ** 18n,
  LIMIT,
  2n * LIMIT,
  9n * 10n ** 22n,
];
const nearEdge = fc
  .tuple(fc.constantFrom(...edges), fc.bigInt(-3n, 3n), fc.constantFrom(1n, -1n))
  .map(([edge, distance, sign]) => sign * (edge + distance));
const integer = fc.oneof(
  nearEdge,
  fc.bigInt(-LIMIT, LIMIT),
  fc.bigInt(-(10n ** 23n), 10n ** 23n),
  fc.bigInt(-5000n, 5000n),
);

function expected(a: bigint, b: bigint): string {
  return [a, a + b, a - b, a < b, a < LIMIT && a > -LIMIT].join(' ');
}

describe('exact integers in Lua', () => {
  let test: TestRedis;

  before(async () => {
    test = await openTestRedis();
  });

  after(() => test.close());

  it('add, subtract, tell the sign, bound and print like bigint', async () => {
    const seed = propertySeed();
    const property = fc.asyncProperty(
      fc.array(fc.tuple(integer, integer), { minLength: 1, maxLength: 50 }),
      async (pairs) => {
        const replies = await test.redis.eval(HARNESS, 0, ...pairs.flat().map(String));
        expect(replies).to.deep.equal(pairs.map(([a, b]) => expected(a, b)));
      },
    );
    await fc.assert(property, { seed, numRuns: 500 });
  });

  it('refuse whatever is no base-10 integer of at most 24 digits', async () => {
    const texts = ['', '-', '+1', ' 1', '1 ', '1.0', '1e3', '0x10', '--1', 'nan', 'inf', '1'.repeat(25), '1\n'];
    const script = `${readLua('exact-int')}
      local refused = {}
      for index = 1, #ARGV do refused[index] = int_parse(ARGV[index]) == nil and 1 or 0 end
      return refused`;
    expect(await test.redis.eval(script, 0, ...texts)).to.deep.equal(texts.map(() => 1));
  });
});
