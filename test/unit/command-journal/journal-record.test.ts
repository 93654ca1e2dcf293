/** Owns: that a record of the journal is read back as the command it was written from, and that nothing else passes for one. */
import { expect } from 'chai';
import { readRecord, recordText } from '../../../src/command-journal/journal-record.js';
import { contentOf } from '../../../src/ledger/commands/command-content.js';
import type { LedgerCommand } from '../../../src/ledger/commands/command.js';
import { parseAmount } from '../../../src/ledger/money.js';
import type { JournalRow } from '../../../src/ledger/postgres/journal-rows.js';

const WHO = { tenantId: 'acme', key: 'k-1', actor: 'anna', reason: 'Ärger "mit" \\ Zeichen, 漢字' };
const PRICES = { inputPer1k: '0.003', meters: { constructor: '1', images: '0.25' } };

const COMMANDS: readonly LedgerCommand[] = [
  { kind: 'credit', ...WHO, amountNano: parseAmount('0.000000001'), currency: 'USD' },
  { kind: 'adjust', ...WHO, amountNano: parseAmount('-9223372036.854775807'), currency: 'USD' },
  { kind: 'refund', ...WHO, of: { traceId: 'req-1' }, currency: 'USD' },
  { kind: 'refund', ...WHO, of: { seq: 7 }, amountNano: parseAmount('1.5'), currency: 'USD' },
  { kind: 'collect', ...WHO, traceId: 'req-1', allowNegative: true },
  { kind: 'void', ...WHO, traceId: 'req-1' },
  { kind: 'price', ...WHO, traceId: 'req-1', prices: PRICES, allowNegative: false, currency: 'USD' },
  { kind: 'price', ...WHO, traceId: 'req-1', prices: { book: 'public' }, allowNegative: true, currency: 'USD' },
  { kind: 'limits', ...WHO, terms: { dailyQuota: null, monthlyQuota: 5 }, currency: 'USD' },
  {
    ...{ kind: 'open-account', ...WHO, currency: 'EUR' },
    terms: { creditLimitNano: parseAmount('3'), holdPolicy: 'none' },
  },
];

function rowOf(command: LedgerCommand, parts: Partial<JournalRow> = {}): JournalRow {
  const { tenantId, key, kind, actor } = command;
  return {
    ...{ tenantId, key, kind, actor, content: contentOf(command, 'USD'), seq: 3, batchNo: 9, hash: 'ab'.repeat(32) },
    ...{ bookedAt: '2026-03-15T12:00:00.000Z', referenceTraceId: null, openedWith: null, ...parts },
  };
}

function why(text: string | null): string {
  const found = readRecord(text === null ? null : Buffer.from(text));
  return found.kind === 'record' ? 'it is a record' : found.why;
}

describe('a record of the journal', () => {
  for (const command of COMMANDS) {
    it(`is read back as the ${command.kind} it was written from`, () => {
      const found = readRecord(Buffer.from(recordText(4, rowOf(command))));
      if (found.kind !== 'record') expect.fail(found.why);
      expect(found.record.command).to.deep.equal(command);
      expect(found.record.batch).to.deep.equal({ partition: 4, batchNo: 9, hash: 'ab'.repeat(32) });
    });
  }

  it('keeps the terms of the account that it opened, and the trace of the entry that it names', () => {
    const openedWith = {
      credit_limit: '2.000000000',
      daily_quota: 'unlimited',
      monthly_quota: '5',
      hold_policy: 'none',
    };
    const found = readRecord(
      Buffer.from(recordText(4, rowOf(COMMANDS[0]!, { openedWith, referenceTraceId: 'req-9' }))),
    );
    if (found.kind !== 'record') expect.fail(found.why);
    expect(found.record.referenceTraceId).to.equal('req-9');
    expect(found.record.openedWith).to.deep.equal({
      ...{ creditLimitNano: 2_000_000_000n, dailyQuota: null, monthlyQuota: 5, holdPolicy: 'none' },
    });
  });

  const sound = JSON.parse(recordText(4, rowOf(COMMANDS[0]!))) as Record<string, unknown>;
  const changed = (parts: object): string => JSON.stringify({ ...sound, ...parts });
  const refused: readonly [what: string, text: string | null, expected: RegExp][] = [
    ['without a value', null, /it has no value/],
    ['what is not JSON', '{', /it is not JSON/],
    ['a list', '[]', /it is not a JSON object/],
    ['one with an unknown field', changed({ bonus: 1 }), /bonus.*not a field of the contract/],
    ['one with a key twice', changed({}).replace('{', '{"key":"other",'), /the key "key" stands twice/],
    ['of another version', changed({ schema_version: 2 }), /schema_version: found 2, allowed: 1/],
    ['of a malformed tenant', changed({ tenant_id: 'a b' }), /tenant_id/],
    ['of an unknown kind', changed({ kind: 'gift' }), /kind/],
    ['with a malformed hash', changed({ batch: { partition: 4, batch_no: 9, hash: 'x' } }), /batch\.hash/],
    ['with content that is no text', changed({ content: { amount: 5 } }), /content/],
    ['with the content of another kind', changed({ kind: 'void' }), /a command without trace is recorded/],
    [
      'content with more than its kind has',
      changed({ content: { ...contentOf(COMMANDS[0]!, ''), x: '1' } }),
      /not that of/,
    ],
    [
      'with an amount in another form',
      changed({ content: { amount: '5.0', currency: 'USD', reason: 'r' } }),
      /not that of/,
    ],
    ['with malformed terms', changed({ opened_with: { credit_limit: '1' } }), /are not those of an account/],
    ['more than 256 KiB', changed({ actor: 'x'.repeat(300_000) }), /bytes; allowed/],
  ];
  for (const [what, text, expected] of refused) {
    it(`is refused when it is ${what}`, () => expect(why(text)).to.match(expected));
  }
});
