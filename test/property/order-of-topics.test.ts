/** Owns: that the order of the two topics decides no total, on random histories of the pure core. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { AccountTerms } from '../../src/ledger/account.js';
import { ZERO } from '../../src/ledger/money.js';
import { propertySeed } from '../model/property-seed.js';
import type { Happening, MemoryLedger } from './memory-ledger.js';
import { charged, perTrace, play, tight } from './played-histories.js';
import { completions, histories, pendings, TENANTS } from './usage-histories.js';

const RUNS = 600;
const AMPLE: AccountTerms = { creditLimitNano: ZERO, dailyQuota: null, monthlyQuota: null, holdPolicy: 'estimate' };
const AMPLE_BALANCE = 10n ** 15n;

describe('merging the two topics of a tenant in any order', () => {
  const picks = fc.infiniteStream(fc.boolean());

  it('gives the same balance, charged total and held amount, while nothing can be refused', () => {
    const seed = propertySeed();
    const free = completions.map((completion) => ({ ...completion, allowNegative: true }));
    const property = fc.property(fc.array(pendings), fc.array(free), picks, picks, (asked, ended, one, other) => {
      const start = { terms: AMPLE, balanceNano: AMPLE_BALANCE };
      const [first, second] = [one, other].map((order) => play(start, merged(asked, ended, order)).map(totalsOf));
      expect(first).to.deep.equal(second);
    });
    fc.assert(property, { seed, numRuns: RUNS });
  });

  it('gives the same balance, charged total and count of charged requests for streams, whatever is used up', () => {
    const seed = propertySeed();
    const served = completions.map((completion) => ({ ...completion, allowNegative: true }));
    const property = fc.property(
      tight,
      fc.array(pendings),
      fc.array(served),
      picks,
      picks,
      (start, asked, ended, one, other) => {
        const [first, second] = [one, other].map((order) => play(start, merged(asked, ended, order)).map(chargedOf));
        expect(first).to.deep.equal(second);
      },
    );
    fc.assert(property, { seed, numRuns: RUNS });
  });

  it('gives the same balance and requests of each day for the two events of any one request, whatever is used up', () => {
    const property = fc.property(tight, histories, pendings, completions, (start, before, pending, completion) => {
      const { tenantId = TENANTS[0], occurredAt } = completion;
      const [traceId, place] = ['the-one', TENANTS.findIndex((tenant) => tenant === tenantId)];
      const asked = { ...pending, tenantId, traceId, occurredAt };
      const ended = { ...completion, tenantId, traceId };
      const [first, second] = [
        [asked, ended],
        [ended, asked],
      ].map((pair) => {
        const ledger = play(start, [...before, ...pair])[place];
        return ledger === undefined ? undefined : { ...totalsOf(ledger), counted: countedByDay(ledger) };
      });
      expect(first).to.deep.equal(second);
    });
    fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
  });

  /** What was charged in the end; what is held differs, since a hold may be refused. */
  function chargedOf({ account, entries }: MemoryLedger): object {
    const traces = perTrace(entries).filter((steps) => steps.at(-1)?.status === 'COMMITTED');
    const requests = traces.flatMap((steps) => steps.map((step) => step.requests));
    return {
      ...{ balance: account.balanceNano, charged: charged(entries), traces: traces.length },
      requests: requests.reduce<number>((total, each) => total + each, 0),
    };
  }

  /** The requests of each day that has any: an empty window may have been opened by a hold. */
  function countedByDay({ entries }: MemoryLedger): object {
    const days = new Map<string, number>();
    for (const { countedOn, requests } of entries) {
      if (countedOn !== null) days.set(countedOn, (days.get(countedOn) ?? 0) + requests);
    }
    return [...days].filter(([, requests]) => requests !== 0).sort();
  }

  function totalsOf({ account, entries }: MemoryLedger): object {
    return { balance: account.balanceNano, held: account.heldNano, charged: charged(entries) };
  }

  /** Merges two logs, each in its own order, by a stream of choices between them. */
  function merged(asked: readonly Happening[], ended: readonly Happening[], order: Iterator<boolean>): Happening[] {
    const rest = { asked: [...asked], ended: [...ended] };
    const log: Happening[] = [];
    while (rest.asked.length > 0 && rest.ended.length > 0) {
      const next = order.next().value === true ? rest.asked.shift() : rest.ended.shift();
      if (next !== undefined) log.push(next);
    }
    return [...log, ...rest.asked, ...rest.ended];
  }
});
