/** Owns: single transactions of a journal; that the whole adds up is for hledger to say (integration/export.test.ts). */
import { expect } from 'chai';
import { type LedgerEntry, NO_USAGE } from '../../../src/ledger/entry.js';
import { parseAmount } from '../../../src/ledger/money.js';
import type { ExportedEntry } from '../../../src/ledger/postgres/export-rows.js';
import { Journal } from '../../../src/reconciliation/journal.js';

function entryOf(parts: Partial<LedgerEntry>): LedgerEntry {
  return {
    ...{ tenantId: 'acme', seq: 3, traceId: 'trace-1', type: 'DEDUCT', status: 'COMMITTED', currency: 'USD' },
    ...{ amountNano: parseAmount('4'), balanceBeforeNano: parseAmount('10'), balanceAfterNano: parseAmount('6') },
    ...{ heldBeforeNano: parseAmount('0'), heldAfterNano: parseAmount('0'), usage: NO_USAGE, requests: 1 },
    ...{ countedOn: '2026-03-15', description: null, detail: null, referenceSeq: null, actor: null, commandHash: null },
    ...{ source: { topic: 'usage.completed', partition: 0, kafkaOffset: 7n }, occurredAt: '2026-03-14T23:59:00.000Z' },
    ...parts,
  };
}

function exported(parts: Partial<LedgerEntry>, recordedAt = '2026-03-15T12:00:00.000Z'): ExportedEntry {
  const entry = entryOf(parts);
  return { entry, entryHash: '', batchId: 1, recordedAt, provider: 'anthropic', model: 'claude-sonnet-4' };
}

/** A journal whose names are declared already. */
function journalAt(parts: Partial<LedgerEntry> = {}, withHolds = false): Journal {
  const journal = new Journal({ withHolds });
  journal.entry(exported(parts));
  return journal;
}

describe('a journal', () => {
  it('writes a charge as a transaction that asserts the balance it leaves', () => {
    expect(journalAt().entry(exported({ seq: 4 }))).to.equal(`
2026-03-15 * (4) anthropic | claude-sonnet-4
    ; tenant:acme, trace:trace-1, seq:4
    ; type:DEDUCT, status:COMMITTED, occurred:2026-03-14
    tenants:acme  -4.000000000 USD = 6.000000000 USD
    usage:anthropic:claude-sonnet-4  4.000000000 USD
`);
  });

  it('writes a refund as usage taken back, with who gave it and why', () => {
    const refund = { type: 'REFUND' as const, referenceSeq: 3, traceId: '~k', actor: 'ops', description: 'it: broke' };
    expect(journalAt().entry(exported({ ...refund, seq: 5, balanceAfterNano: parseAmount('10') }))).to.equal(`
2026-03-15 * (5) refund of 3
    ; tenant:acme, trace:~k, seq:5
    ; type:REFUND, status:COMMITTED, occurred:2026-03-14
    ; actor "ops", why "it\\u003a broke"
    tenants:acme  4.000000000 USD = 10.000000000 USD
    usage:anthropic:claude-sonnet-4  -4.000000000 USD
`);
  });

  it('declares a tenant, its currency and a model before they are used, and each once', () => {
    const journal = new Journal({ withHolds: true });
    expect(journal.entry(exported({})).split('\n').slice(0, 6)).to.deep.equal([
      ...['', 'commodity 1000.000000000 USD', '', 'account tenants:acme', 'account holds:acme', ''],
    ]);
    expect(journal.entry(exported({}))).to.not.include('account ');
    const other = journal.entry(exported({ tenantId: 'bolt' }));
    expect(other)
      .to.include('account tenants:bolt\n')
      .and.to.not.include('commodity')
      .and.to.not.include('account usage');
  });

  it('leaves out what moves no money', () => {
    for (const status of ['PENDING', 'REFUSED', 'FAILED', 'VOIDED', 'EXPIRED'] as const) {
      expect(journalAt().entry(exported({ status, heldAfterNano: parseAmount('4') })), status).to.equal('');
    }
    expect(journalAt().entry(exported({ type: 'LIMITS' }))).to.equal('');
    expect(journalAt().entry(exported({ amountNano: parseAmount('0') }))).to.equal('');
  });

  it('writes what is held as an unbalanced posting when asked', () => {
    const held = journalAt({}, true).entry(exported({ status: 'PENDING', heldAfterNano: parseAmount('4') }));
    expect(held.split('\n').slice(-2)).to.deep.equal(['    (holds:acme)  4.000000000 USD = 4.000000000 USD', '']);
    const settled = journalAt({}, true).entry(exported({ heldBeforeNano: parseAmount('4') }));
    expect(settled)
      .to.include('    (holds:acme)  -4.000000000 USD = 0.000000000 USD\n')
      .and.to.include('tenants:acme  -4');
  });

  it('never dates a transaction before the one before it, though clocks step back: hledger sorts by date', () => {
    const journal = journalAt();
    const late = exported({ seq: 4 }, '2026-03-14T23:59:59.999Z');
    expect(journal.entry(late)).to.include('\n2026-03-15 * (4)');
    expect(journal.entry({ ...late, entry: entryOf({ tenantId: 'bolt' }) })).to.include('\n2026-03-14 * (3)');
  });

  it('opens a tenant with what it had, and one that had nothing not at all', () => {
    const journal = new Journal({ withHolds: true });
    const opening = journal.opening(entryOf({ heldAfterNano: parseAmount('2') }), '2026-03-20T00:00:00.000Z');
    expect(opening).to.include('\n2026-03-20 * (3) opening balance\n');
    expect(opening).to.include(
      '    tenants:acme  6.000000000 USD = 6.000000000 USD\n    equity:opening  -6.000000000 USD\n',
    );
    expect(opening).to.include('    (holds:acme)  2.000000000 USD = 2.000000000 USD\n');
    expect(journal.opening(entryOf({ tenantId: 'none', balanceAfterNano: parseAmount('0') }), '2026-03-20')).to.equal(
      '',
    );
  });
});
