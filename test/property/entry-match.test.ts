/**
 * Owns: that the check of an entry says yes to exactly the entry that its event makes: to every one that the charge books,
 * granted or refused, and to none in which any column but its seq was changed.
 */
import { expect } from 'chai';
import fc from 'fast-check';
import { emptyAccount } from '../../src/ledger/account.js';
import { bookIntent } from '../../src/ledger/charge.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import type { EventPricing, UsageEvent } from '../../src/ledger/events.js';
import { amountNano, ZERO } from '../../src/ledger/money.js';
import type { QuotaRefusal } from '../../src/ledger/quota-rule.js';
import { decide, type TraceState } from '../../src/ledger/trace.js';
import { checkEntry, type EntryGrounds } from '../../src/reconciliation/reconcile/entry-check.js';
import {
  ABSENT,
  CANONICAL_COLUMNS,
  type CanonicalColumn,
  entryText,
  placeOf,
} from '../../src/reconciliation/reconcile/entry-lines.js';
import { isGranted } from '../../src/reconciliation/reconcile/entry-match.js';
import { completions, pendings } from './usage-histories.js';

const SOURCE = { topic: 'usage.completed', partition: 3, kafkaOffset: 77n };
const ESTIMATES = { outputTokensDefault: 4096, outputTokensMax: null };
const TERMS = { creditLimitNano: ZERO, dailyQuota: null, monthlyQuota: null, holdPolicy: 'estimate' } as const;
const AMOUNTS: readonly CanonicalColumn[] = ['amount', 'balance_before', 'balance_after', 'held_before', 'held_after'];
/** Of every column but the seq: that is the tenant's, and verification's. */
const CHECKED = CANONICAL_COLUMNS.filter((column) => column !== 'seq');

const nanos = fc.bigInt(-1_000n, 1_000_000n).map(amountNano);
const states: fc.Arbitrary<TraceState> = fc.oneof(
  fc.constant<TraceState>({ status: 'NONE' }),
  fc.record({ status: fc.constant('PENDING' as const), heldNano: nanos, countedOn: fc.constant('2026-03-30') }),
  fc.record({ status: fc.constantFrom('VOIDED' as const, 'EXPIRED' as const, 'REFUSED' as const) }),
);
const bookings = fc.record({
  event: fc.oneof<fc.Arbitrary<UsageEvent>[]>(pendings, completions),
  state: states,
  holdPolicy: fc.constantFrom('estimate' as const, 'none' as const),
  balanceNano: nanos,
  heldNano: nanos,
  seq: fc.integer({ min: 1, max: 1e9 }),
  isRefused: fc.boolean(),
});
type Booking = typeof bookings extends fc.Arbitrary<infer B> ? B : never;

interface Made {
  readonly entry: LedgerEntry;
  readonly grounds: EntryGrounds;
  readonly isGranted: (columns: readonly string[]) => boolean;
}

/** What the charge books of an event; undefined where it books nothing. */
function made({ event, state, holdPolicy, balanceNano, heldNano, seq, isRefused }: Booking): Made | undefined {
  const pricing = event.pricing as EventPricing;
  const decision = decide(state, event, { pricing, holdPolicy, estimates: ESTIMATES });
  if (decision.kind !== 'entry') return undefined;
  const { tenantId = '', traceId, occurredAt } = event;
  const { intent } = decision;
  const refusal = isRefused && intent.delta.checkBalance ? refusalOf(-intent.delta.availableNano) : undefined;
  const opening = emptyAccount({ tenantId, currency: pricing.currency, day: '2026-03-01' }, TERMS);
  const account = { ...opening, balanceNano, heldNano, seq };
  const booked = bookIntent(account, { traceId, occurredAt, source: SOURCE }, { intent, refusal });
  if (booked === undefined) return undefined;
  const settings = { estimates: ESTIMATES, defaultCurrency: 'USD' };
  const identity = { tenantId, traceId, occurredAt, currency: pricing.currency, source: SOURCE };
  return {
    entry: booked.entry,
    grounds: { event, pricing, source: SOURCE, state, settings, onTaken: () => undefined },
    isGranted: (columns) => isGranted({ columns }, intent, identity),
  };
}

function refusalOf(requiredNano: bigint): QuotaRefusal | undefined {
  if (requiredNano <= 0n) return undefined;
  const available = amountNano(requiredNano - 1n);
  return { code: 'INSUFFICIENT_BALANCE', requiredNano: amountNano(requiredNano), availableNano: available };
}

function changed(columns: readonly string[], column: CanonicalColumn): string[] {
  const at = placeOf(column);
  const value = columns[at] ?? ABSENT;
  const other = AMOUNTS.includes(column)
    ? value.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10))
    : `${value}1`;
  return columns.map((each, index) => (index === at ? other : each));
}

describe('the check of an entry', () => {
  it('says yes to every entry that the charge books, and to a granted one without making it again', () => {
    fc.assert(
      fc.property(bookings, (booking) => {
        const one = made(booking);
        fc.pre(one !== undefined);
        const text = entryText(one.entry);
        const columns = text.split('\t');
        expect(checkEntry({ text, columns }, one.grounds)).to.deep.equal({ kind: 'equal' });
        const wasGranted = one.entry.detail === null;
        expect(one.isGranted(columns)).to.equal(wasGranted);
      }),
      { numRuns: 500 },
    );
  });

  it('says no to an entry in which any column but its seq was changed', () => {
    fc.assert(
      fc.property(bookings, fc.constantFrom(...CHECKED), (booking, column) => {
        const one = made({ ...booking, isRefused: false });
        fc.pre(one !== undefined);
        const columns = changed(entryText(one.entry).split('\t'), column);
        expect(one.isGranted(columns)).to.equal(false);
        expect(checkEntry({ text: columns.join('\t'), columns }, one.grounds).kind).to.equal('different');
      }),
      { numRuns: 1_000 },
    );
  });
});
