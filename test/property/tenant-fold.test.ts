/** Owns: that following the entries of a tenant is the fold of the ledger, silent on what the ledger writes and on nothing else. */
import { expect } from 'chai';
import fc from 'fast-check';
import { type AccountTerms, emptyAccount, evolve } from '../../src/ledger/account.js';
import type { LedgerEntry } from '../../src/ledger/entry.js';
import { amountNano } from '../../src/ledger/money.js';
import type { LeafLine } from '../../src/ledger/postgres/leaf-lines.js';
import { TenantFold } from '../../src/reconciliation/verify-tenant.js';
import { propertySeed } from '../model/property-seed.js';
import { leafLineOf } from '../support/leaf-line-of.js';
import { deliver, type Happening, openLedger } from './memory-ledger.js';
import { histories, TENANTS, tightTerms } from './usage-histories.js';

const RUNS = 500;

/** The entries of one tenant's history, from its opening on. */
function entriesOf(terms: AccountTerms, history: readonly Happening[]): readonly LedgerEntry[] {
  const ledger = openLedger(TENANTS[0], terms, 0n);
  for (const [index, happening] of history.entries()) {
    deliver(ledger, { ...happening, tenantId: TENANTS[0] }, BigInt(index + 1));
  }
  return ledger.entries;
}

function isHold({ status, amountNano }: LedgerEntry): boolean {
  return status === 'PENDING' && amountNano > 0n;
}

interface Followed {
  readonly fold: TenantFold;
  readonly problems: readonly string[];
}

function follow(lines: readonly LeafLine[]): Followed {
  const problems: string[] = [];
  const fold = new TenantFold(TENANTS[0], ({ message }) => problems.push(message));
  for (const line of lines) fold.add(line);
  return { fold, problems };
}

const ledgers = fc
  .tuple(tightTerms, histories)
  .map(([terms, history]) => ({ terms, entries: entriesOf(terms, history) }));

function check<T>(property: fc.IProperty<[T]>): void {
  fc.assert(property, { seed: propertySeed(), numRuns: RUNS });
}

describe('following the entries of a tenant', () => {
  it('finds nothing wrong with any history, and comes to the account that the ledger came to', () => {
    check(
      fc.property(ledgers, ({ terms, entries }) => {
        const { fold, problems } = follow(entries.map(leafLineOf));
        const empty = emptyAccount({ tenantId: TENANTS[0], currency: 'USD', day: '2026-03-14' }, terms);
        expect(problems).to.deep.equal([]);
        expect(fold.account).to.deep.equal(entries.reduce(evolve, empty));
      }),
    );
  });

  it('leaves open exactly the holds that have not ended', () => {
    check(
      fc.property(ledgers, ({ entries }) => {
        const { fold } = follow(entries.map(leafLineOf));
        const last = new Map(entries.map((entry) => [entry.traceId, entry]));
        const open = [...last.values()].filter(({ status }) => status === 'PENDING');
        expect([...fold.openHolds.keys()].sort()).to.deep.equal(open.map(({ traceId }) => traceId).sort());
        const held = [...fold.openHolds.values()].reduce((sum, { heldNano }) => sum + heldNano, 0n);
        expect(held).to.equal(fold.account?.heldNano);
      }),
    );
  });

  it('names the entry that is missing, whichever but the last it is', () => {
    const shortened = ledgers
      .filter(({ entries }) => entries.length > 2)
      .chain(({ entries }) => fc.tuple(fc.constant(entries), fc.integer({ min: 1, max: entries.length - 2 })));
    check(
      fc.property(shortened, ([entries, removed]) => {
        const { problems } = follow(entries.filter((_, index) => index !== removed).map(leafLineOf));
        expect(problems[0]).to.include(`entry ${TENANTS[0]}#${removed + 1} is missing`);
      }),
    );
  });

  it('names the first entry whose balance or hold was moved, even where its hash was moved with it', () => {
    const fields = fc.constantFrom('balanceBeforeNano', 'balanceAfterNano', 'heldBeforeNano', 'heldAfterNano');
    const moved = ledgers.chain(({ entries }) => fc.tuple(fc.constant(entries), fc.nat(entries.length - 1), fields));
    check(
      fc.property(moved, ([entries, at, field]) => {
        const changed = entries.map((entry, index) =>
          index === at ? { ...entry, [field]: entry[field] + 1n } : entry,
        );
        const { problems } = follow(changed.map(leafLineOf));
        expect(problems[0]).to.match(new RegExp(`^entry ${TENANTS[0]}#${at + 1} `));
      }),
    );
  });

  it('names a hold that was moved by exactly its amount, whatever the hold policy', () => {
    const holding = ledgers
      .map(({ terms, entries }) => ({ terms, entries, holds: entries.filter(isHold) }))
      .filter(({ holds }) => holds.length > 0)
      .chain(({ terms, entries, holds }) =>
        fc.tuple(fc.constant(terms), fc.constant(entries), fc.constantFrom(...holds)),
      );
    check(
      fc.property(holding, ([{ holdPolicy }, entries, hold]) => {
        const { amountNano: amount, heldBeforeNano, seq } = hold;
        const moved = holdPolicy === 'none' ? amount : 0n;
        const forged = { ...hold, heldAfterNano: amountNano(heldBeforeNano + moved) };
        const { problems } = follow(entries.map((entry) => leafLineOf(entry === hold ? forged : entry)));
        expect(problems[0]).to.match(
          new RegExp(`^entry ${TENANTS[0]}#${seq} holds .* under hold policy ${holdPolicy}$`),
        );
      }),
    );
  });

  it('names every entry whose content does not have its hash', () => {
    check(
      fc.property(ledgers, ({ entries }) => {
        const { problems } = follow(entries.map((entry) => ({ ...leafLineOf(entry), isGenuine: entry.seq % 2 === 0 })));
        const forged = entries.filter(({ seq }) => seq % 2 !== 0).map(({ seq }) => seq);
        expect(problems).to.deep.equal(
          forged.map((seq) => `entry ${TENANTS[0]}#${seq} does not have the hash of its content`),
        );
      }),
    );
  });
});
