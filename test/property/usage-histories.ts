/** Owns: random histories of a few tenants: events of few traces, small amounts, days around the end of a month. */
import fc from 'fast-check';
import type { AccountTerms } from '../../src/ledger/account.js';
import type { EventPricing, UsageCompleted, UsagePending } from '../../src/ledger/events.js';
import { amountNano } from '../../src/ledger/money.js';
import type { Happening } from './memory-ledger.js';

export const TENANTS = ['tenant-a', 'tenant-b'] as const;

const TRACES = ['trace-1', 'trace-2', 'trace-3', 'trace-4'] as const;
const TIMES = ['2026-03-30T12:00:00.000Z', '2026-03-31T23:59:59.999Z', '2026-04-01T00:00:00.000Z'] as const;

/** One nano-unit per input token, three per output token. */
const PRICING: EventPricing = { inputPer1k: '0.000001', outputPer1k: '0.000003', currency: 'USD' };
const SURCHARGED: EventPricing = { ...PRICING, inputPer1k: '0.0000015' };

const identity = {
  eventId: fc.constant('event'),
  tenantId: fc.constantFrom(...TENANTS),
  traceId: fc.constantFrom(...TRACES),
  occurredAt: fc.constantFrom(...TIMES),
  provider: fc.constant('anthropic'),
  model: fc.constantFrom('small', 'large'),
  stream: fc.boolean(),
  pricing: fc.constantFrom(PRICING, SURCHARGED),
};
const tokens = fc.constantFrom(0, 1, 2, 7, 20);

/** Whose usage it was: mostly nobody says. */
const attribution = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.record({
      priceClass: fc.constantFrom('standard', 'batch'),
      userId: fc.constant('auth0|7'),
      projectId: fc.constant('project'),
      tags: fc.constantFrom<Record<string, string>[]>({}, { team: 'a "b"', cost: '1' }),
    }),
  },
);

/** A pending event of one of the traces. */
export const pendings: fc.Arbitrary<UsagePending> = fc
  .tuple(
    fc.record({
      ...identity,
      kind: fc.constant('pending' as const),
      estimate: fc.record({ inputTokens: tokens, maxOutputTokens: tokens }),
    }),
    attribution,
  )
  .map(([event, whose]) => ({ ...event, ...whose }));

/** A completion of one of the traces, with or without usage, whatever its outcome. */
export const completions: fc.Arbitrary<UsageCompleted> = fc
  .tuple(
    fc.record({
      ...identity,
      kind: fc.constant('completed' as const),
      outcome: fc.constantFrom('succeeded' as const, 'succeeded' as const, 'failed' as const, 'cancelled' as const),
      usage: fc.record({ inputTokens: tokens, outputTokens: tokens }),
      allowNegative: fc.boolean(),
    }),
    attribution,
  )
  .map(([event, whose]) => ({ ...event, ...whose }));

const expiries: fc.Arbitrary<Happening> = fc.record({
  kind: fc.constant('expiry'),
  tenantId: identity.tenantId,
  traceId: identity.traceId,
});

/** What happens, in order: mostly events, now and then a hold that expires. */
export const histories: fc.Arbitrary<Happening[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: pendings },
    { weight: 6, arbitrary: completions },
    { weight: 1, arbitrary: expiries },
  ),
  { maxLength: 40 },
);

const quotas = fc.option(fc.integer({ min: 0, max: 6 }), { nil: null });

/** Terms that are tight enough to refuse. */
export const tightTerms: fc.Arbitrary<AccountTerms> = fc.record({
  creditLimitNano: fc.constantFrom(0n, 5n, 30n).map(amountNano),
  dailyQuota: quotas,
  monthlyQuota: quotas,
  holdPolicy: fc.constantFrom('estimate', 'none'),
});

/** Opening balances that last for a few of the requests. */
export const tightBalances = fc.bigInt(0n, 150n);
