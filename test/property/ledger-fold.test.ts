/** Owns: what is true of the ledger whatever happens, in whatever order, on random histories of the pure core. */
import { expect } from 'chai';
import fc from 'fast-check';
import { type Account, evolve } from '../../src/ledger/account.js';
import { balanceEffect, type LedgerEntry } from '../../src/ledger/entry.js';
import { availableNano } from '../../src/ledger/quota-rule.js';
import { propertySeed } from '../model/property-seed.js';
import type { Happening, MemoryLedger } from './memory-ledger.js';
import { perTrace, play, type Start, sum, tight } from './played-histories.js';
import { histories } from './usage-histories.js';

const RUNS = 600;
const STATUSES = ['COMMITTED', 'EXPIRED', 'FAILED', 'PENDING', 'REFUSED', 'VOIDED', 'late'];

/** What the holds of a ledger that have not ended hold. */
function openHolds(entries: readonly LedgerEntry[]): bigint {
  const last = perTrace(entries).map((steps) => steps.at(-1)!);
  const open = last.filter(({ status }) => status === 'PENDING');
  return sum(open.map(({ heldAfterNano, heldBeforeNano }) => heldAfterNano - heldBeforeNano));
}

/** An entry without the position of its message, which differs when a copy of another message came before it. */
function withoutPosition({ source: _source, ...facts }: LedgerEntry): object {
  return facts;
}

function check(run: (start: Start, history: Happening[]) => void): void {
  fc.assert(fc.property(tight, histories, run), { seed: propertySeed(), numRuns: RUNS });
}

describe('after every step of any history', () => {
  it('the balance is the opening balance and the sum of what the entries took and gave', () => {
    check((start, history) => {
      play(start, history, ({ account, entries, opened }) => {
        expect(account.balanceNano).to.equal(opened.balanceNano + sum(entries.map(balanceEffect)));
      });
    });
  });

  it('the held amount is the sum of the open holds', () => {
    check((start, history) => {
      play(start, history, ({ account, entries }) => expect(account.heldNano).to.equal(openHolds(entries)));
    });
  });

  it('what is available is never negative, unless a completion was allowed to make it so', () => {
    check((start, history) => {
      const modest = history.map((each) => (each.kind === 'completed' ? { ...each, allowNegative: false } : each));
      play(start, modest, ({ account }) => expect(availableNano(account) >= 0n).to.equal(true));
    });
  });

  it('no entry takes what is available below zero unless it was allowed to', () => {
    check((start, history) => {
      let before: Account | undefined;
      play(start, history, ({ account, entries }) => {
        const last = entries.at(-1)!;
        const lowered = before?.tenantId === account.tenantId && availableNano(account) < availableNano(before);
        if (lowered && last.usage.allowNegative !== true) expect(availableNano(account) >= 0n).to.equal(true);
        before = account;
      });
    });
  });
});

describe('the entries of any history', () => {
  it('are numbered without a gap from 1 and each starts where the one before it ended', () => {
    check((start, history) => {
      for (const { entries, opened } of play(start, history)) {
        expect(entries.map(({ seq }) => seq)).to.deep.equal(entries.map((_, index) => index + 1));
        let [balance, held]: [bigint, bigint] = [opened.balanceNano, opened.heldNano];
        for (const entry of entries) {
          expect([entry.balanceBeforeNano, entry.heldBeforeNano]).to.deep.equal([balance, held]);
          [balance, held] = [entry.balanceAfterNano, entry.heldAfterNano];
        }
      }
    });
  });

  it('hold each status of a trace at most once, and only one charge', () => {
    check((start, history) => {
      for (const { entries } of play(start, history)) {
        for (const steps of perTrace(entries)) {
          const statuses = steps.map(({ status }) => status);
          expect(new Set(statuses).size, statuses.join()).to.equal(statuses.length);
          expect(statuses.filter((status) => status === 'COMMITTED' || status === 'FAILED').length).to.be.at.most(1);
        }
      }
    });
  });

  it('end a hold at most once, by exactly what it held', () => {
    check((start, history) => {
      for (const { entries } of play(start, history)) {
        for (const steps of perTrace(entries)) {
          const moves = steps.map((step) => step.heldAfterNano - step.heldBeforeNano).filter((move) => move !== 0n);
          expect(moves.length === 0 || (moves.length <= 2 && moves[0]! > 0n)).to.equal(true);
          if (moves.length === 2) expect(sum(moves)).to.equal(0n);
        }
      }
    });
  });

  it('count a charged request exactly once, and one that was refused, voided, failed or expired not at all', () => {
    check((start, history) => {
      for (const { entries } of play(start, history)) {
        for (const steps of perTrace(entries)) {
          const status = steps.at(-1)!.status;
          const counted = steps.reduce((total, step) => total + step.requests, 0);
          const isUncounted = ['REFUSED', 'VOIDED', 'EXPIRED', 'FAILED'].includes(status);
          if (isUncounted) expect(counted).to.equal(0);
          if (status === 'COMMITTED' && steps[0]!.type === 'DEDUCT') expect(counted).to.equal(1);
        }
      }
    });
  });

  it('fold, from the opening, into the account', () => {
    check((start, history) => {
      for (const { account, entries, opened } of play(start, history)) {
        expect(entries.reduce(evolve, opened)).to.deep.equal(account);
      }
    });
  });

  it('count the requests of the open windows', () => {
    check((start, history) => {
      for (const { account, entries } of play(start, history)) {
        const countIn = (window: string) =>
          entries
            .filter((each) => each.countedOn?.startsWith(window))
            .reduce((total, each) => total + each.requests, 0);
        expect(account.dailyUsed).to.equal(countIn(account.dailyDate));
        expect(account.monthlyUsed).to.equal(countIn(account.monthlyMonth));
      }
    });
  });
});

describe('the random histories', () => {
  it('reach every status and late charges, so that the properties speak of each', () => {
    const reached = new Set<string>();
    check((start, history) => {
      for (const { entries } of play(start, history)) {
        for (const { status, description } of entries) reached.add(description === 'late' ? 'late' : status);
      }
    });
    expect([...reached].sort()).to.deep.equal(STATUSES);
  });
});

describe('delivering any events again', () => {
  const copies = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 20 });

  it('at any later place adds no entry and changes no account', () => {
    const seed = propertySeed();
    const property = fc.property(tight, histories, copies, (start, history, again) => {
      expect(factsOf(play(start, withCopies(history, again)))).to.deep.equal(factsOf(play(start, history)));
    });
    fc.assert(property, { seed, numRuns: RUNS });
  });

  function factsOf(ledgers: readonly MemoryLedger[]): object[] {
    return ledgers.map(({ account, entries }) => ({ account, entries: entries.map(withoutPosition) }));
  }

  /** Puts copies of events behind their originals, anywhere. */
  function withCopies(history: readonly Happening[], copied: readonly (readonly [number, number])[]): Happening[] {
    const longer = [...history];
    for (const [which, where] of copied) {
      const original = which % Math.max(1, longer.length);
      const happening = longer[original];
      if (happening === undefined || happening.kind === 'expiry') continue;
      longer.splice(original + 1 + (where % (longer.length - original)), 0, happening);
    }
    return longer;
  }
});
