/** Owns: what is true of the ledger under any mix of usage and commands, on random histories of the pure core. */
import { expect } from 'chai';
import fc from 'fast-check';
import { type Account, type AccountTerms, evolve } from '../../src/ledger/account.js';
import { balanceEffect, type LedgerEntry } from '../../src/ledger/entry.js';
import { availableNano } from '../../src/ledger/quota-rule.js';
import { propertySeed } from '../model/property-seed.js';
import { commandsOf, type CommandWithoutKey, give } from './command-histories.js';
import { deliver, type Happening, type MemoryLedger, openLedger } from './memory-ledger.js';
import { completions, pendings, TENANTS, tightBalances, tightTerms } from './usage-histories.js';

const RUNS = 500;
/** What the commands of the histories must come to, so that the properties speak of each. */
const OUTCOMES = [
  ...['COLLECT_NOT_ALLOWED', 'HOLD_NOT_OPEN', 'INSUFFICIENT_BALANCE', 'REFUND_EXCEEDS_CHARGE', 'REFUND_NOT_ALLOWED'],
  ...['TRACE_UNKNOWN', 'booked adjust', 'booked collect', 'booked credit', 'booked limits', 'booked refund'],
  ...['booked void', 'collected after a hold', 'refunded in parts'],
];

type Step = { readonly event: Happening } | { readonly command: CommandWithoutKey };

/** So few that most traces see many events and commands. */
const TRACES = ['trace-1', 'trace-2'] as const;

function ofFewTraces<E extends { readonly traceId: string }>(event: E): E {
  return { ...event, traceId: event.traceId === 'trace-1' || event.traceId === 'trace-3' ? TRACES[0] : TRACES[1] };
}

interface Start {
  readonly terms: AccountTerms;
  readonly balanceNano: bigint;
}

const starts: fc.Arbitrary<Start> = fc.record({ terms: tightTerms, balanceNano: tightBalances });
const expiries = fc.record({
  kind: fc.constant('expiry' as const),
  tenantId: fc.constantFrom(...TENANTS),
  traceId: fc.constantFrom(...TRACES),
});
const histories: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ event: pendings.map(ofFewTraces) }) },
    { weight: 3, arbitrary: fc.record({ event: completions.map(ofFewTraces) }) },
    { weight: 1, arbitrary: fc.record({ event: expiries }) },
    { weight: 6, arbitrary: fc.record({ command: commandsOf(TENANTS, TRACES) }) },
  ),
  { minLength: 20, maxLength: 60, size: 'max' },
);

/** Lets a history happen, calling back after each step with the ledger it happened to and what became of a command. */
function play(
  start: Start,
  history: readonly Step[],
  afterStep: (ledger: MemoryLedger, outcome: string) => void = () => undefined,
): MemoryLedger[] {
  const ledgers = new Map<string, MemoryLedger>(
    TENANTS.map((tenantId) => [tenantId, openLedger(tenantId, start.terms, start.balanceNano)]),
  );
  for (const [index, step] of history.entries()) {
    const ledger = ledgers.get(('event' in step ? step.event.tenantId : step.command.tenantId) ?? '')!;
    if ('event' in step) {
      deliver(ledger, step.event, BigInt(index));
      afterStep(ledger, 'event');
    } else {
      const outcome = give(ledger, { ...step.command, key: `key-${index}` });
      afterStep(ledger, outcome === 'booked' ? `booked ${step.command.kind}` : outcome);
    }
  }
  return [...ledgers.values()];
}

function check(run: (start: Start, history: Step[]) => void): void {
  fc.assert(fc.property(starts, histories, run), { seed: propertySeed(), numRuns: RUNS });
}

function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n);
}

function requestsOf(entries: readonly LedgerEntry[]): number {
  return entries.reduce((total, { requests }) => total + requests, 0);
}

/** The traces of requests, each with its entries by seq. */
function tracesIn({ entries }: MemoryLedger): LedgerEntry[][] {
  const usage = entries.filter(({ type }) => type === 'DEDUCT');
  return [...new Set(usage.map(({ traceId }) => traceId))].map((traceId) =>
    usage.filter((entry) => entry.traceId === traceId),
  );
}

/** The charges of a ledger, each with its refunds. */
function chargesIn(ledger: MemoryLedger): { trace: LedgerEntry[]; charge: LedgerEntry; refunds: LedgerEntry[] }[] {
  return tracesIn(ledger).flatMap((trace) => {
    const charge = trace.find(({ status }) => status === 'COMMITTED');
    const refunds = ledger.entries.filter(
      ({ type, referenceSeq }) => type === 'REFUND' && referenceSeq === charge?.seq,
    );
    return charge === undefined ? [] : [{ trace, charge, refunds }];
  });
}

describe('after every step of any mix of usage and commands', () => {
  it('the balance is the opening balance and the sum of what the entries took and gave', () => {
    check((start, history) => {
      play(start, history, ({ account, entries, opened }) => {
        expect(account.balanceNano).to.equal(opened.balanceNano + sum(entries.map(balanceEffect)));
      });
    });
  });

  it('the held amount is the sum of the open holds', () => {
    check((start, history) => {
      play(start, history, (ledger) => {
        const open = tracesIn(ledger).map((trace) => trace.at(-1)!);
        const holds = open.filter(({ status }) => status === 'PENDING');
        expect(ledger.account.heldNano).to.equal(sum(holds.map((hold) => hold.heldAfterNano - hold.heldBeforeNano)));
      });
    });
  });

  it('nothing takes what is available below zero but what was allowed to, an adjustment, or other limits', () => {
    check((start, history) => {
      const before = new Map<string, Account>();
      play(start, history, ({ account, entries, opened }) => {
        const last = entries.at(-1)!;
        const lowered = availableNano(account) < availableNano(before.get(account.tenantId) ?? opened);
        const allowed = last.usage.allowNegative === true || last.type === 'ADJUSTMENT' || last.type === 'LIMITS';
        if (lowered && !allowed) expect(availableNano(account) >= 0n).to.equal(true);
        before.set(account.tenantId, account);
      });
    });
  });

  it('a command that is refused leaves no entry and the account as it was', () => {
    check((start, history) => {
      const before = new Map<string, { account: Account; entries: number }>();
      play(start, history, ({ account, entries, opened }, outcome) => {
        const known = before.get(account.tenantId) ?? { account: opened, entries: 1 };
        const refused = outcome !== 'event' && !outcome.startsWith('booked');
        if (refused && known.account !== opened) expect([account, entries.length]).to.deep.equal(Object.values(known));
        if (outcome.startsWith('booked')) expect(entries.length).to.equal(known.entries + 1);
        before.set(account.tenantId, { account, entries: entries.length });
      });
    });
  });
});

describe('the entries of any mix of usage and commands', () => {
  it('fold, from the opening, into the account', () => {
    check((start, history) => {
      for (const { account, entries, opened } of play(start, history)) {
        expect(entries.reduce(evolve, opened)).to.deep.equal(account);
      }
    });
  });

  it('hold each status of a trace at most once, and one charge, whether collected or not', () => {
    check((start, history) => {
      for (const ledger of play(start, history)) {
        for (const trace of tracesIn(ledger)) {
          const statuses = trace.map(({ status }) => status);
          expect(new Set(statuses).size, statuses.join()).to.equal(statuses.length);
          const failed = statuses.indexOf('FAILED');
          if (failed !== -1)
            expect(statuses.slice(failed + 1)).to.deep.equal(statuses.includes('COMMITTED') ? ['COMMITTED'] : []);
        }
      }
    });
  });

  it('never refund more than was charged', () => {
    check((start, history) => {
      for (const { charge, refunds } of play(start, history).flatMap(chargesIn)) {
        expect(sum(refunds.map(({ amountNano }) => amountNano)) <= charge.amountNano).to.equal(true);
      }
    });
  });

  it('refer, where they refund, to a charge', () => {
    check((start, history) => {
      for (const { entries } of play(start, history)) {
        for (const { referenceSeq } of entries.filter(({ type }) => type === 'REFUND')) {
          const original = entries.find(({ seq }) => seq === referenceSeq);
          expect(original).to.include({ type: 'DEDUCT', status: 'COMMITTED' });
        }
      }
    });
  });

  it('count a charged request once, and give it back once, when it is refunded in full', () => {
    check((start, history) => {
      for (const { trace, charge, refunds } of play(start, history).flatMap(chargesIn)) {
        expect(requestsOf(trace), trace.map(({ status }) => status).join()).to.equal(1);
        const isWhole = refunds.length > 0 && sum(refunds.map(({ amountNano }) => amountNano)) === charge.amountNano;
        expect(requestsOf(refunds)).to.equal(isWhole ? -1 : 0);
      }
    });
  });

  it('count the requests of the open windows', () => {
    check((start, history) => {
      for (const { account, entries } of play(start, history)) {
        const countIn = (window: string) =>
          requestsOf(entries.filter(({ countedOn }) => countedOn?.startsWith(window)));
        expect(account.dailyUsed).to.equal(countIn(account.dailyDate));
        expect(account.monthlyUsed).to.equal(countIn(account.monthlyMonth));
      }
    });
  });
});

describe('the random mixes of usage and commands', () => {
  it('reach every command and every refusal, so that the properties speak of each', () => {
    const reached = new Set<string>();
    check((start, history) => {
      const ledgers = play(start, history, (_ledger, outcome) => reached.add(outcome));
      for (const { trace, charge, refunds } of ledgers.flatMap(chargesIn)) {
        const statuses = trace.map(({ status }) => status).join(' ');
        if (statuses === 'PENDING FAILED COMMITTED') reached.add('collected after a hold');
        if (refunds.length > 1 && requestsOf(refunds) === -1 && charge.amountNano > 0n)
          reached.add('refunded in parts');
      }
    });
    reached.delete('event');
    expect([...reached].sort()).to.deep.equal(OUTCOMES);
  });
});
