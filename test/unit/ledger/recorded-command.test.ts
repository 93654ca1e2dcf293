/** Owns: that a command read back from its record is the command that was recorded, whatever its kind. */
import { expect } from 'chai';
import { contentOf } from '../../../src/ledger/commands/command-content.js';
import type { LedgerCommand } from '../../../src/ledger/commands/command.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { commandOfRecord } from '../../../src/ledger/commands/recorded-command.js';
import { isTollbookError } from '../../../src/runtime/errors.js';

const identity = { tenantId: 'acme', key: 'k-1', actor: 'ops', reason: 'because' };
const amountNano = parseAmount('1.000000001');
const terms = { creditLimitNano: amountNano, dailyQuota: null, monthlyQuota: 7, holdPolicy: 'none' } as const;
const prices = { inputPer1k: '0.003', meters: { requests: '5', cached_input_tokens: '0.10' } };

const COMMANDS: readonly LedgerCommand[] = [
  { ...identity, kind: 'open-account', terms },
  { ...identity, kind: 'open-account', terms: {}, currency: 'EUR' },
  { ...identity, kind: 'limits', terms: { dailyQuota: 0 } },
  { ...identity, kind: 'credit', amountNano },
  { ...identity, kind: 'adjust', amountNano: parseAmount('-3.5') },
  { ...identity, kind: 'refund', of: { seq: 4 } },
  { ...identity, kind: 'refund', of: { traceId: 't' }, amountNano },
  { ...identity, kind: 'collect', traceId: 't', allowNegative: true },
  { ...identity, kind: 'void', traceId: 't' },
  { ...identity, kind: 'price', traceId: 't', prices, allowNegative: false },
  { ...identity, kind: 'price', traceId: 't', prices: { book: 'list' }, allowNegative: true },
];

describe('a recorded command', () => {
  for (const [index, command] of COMMANDS.entries()) {
    it(`is read back as it was recorded: ${command.kind}, case ${index + 1}`, () => {
      const { tenantId, key, kind, actor } = command;
      const content = contentOf(command, 'USD');
      const again = commandOfRecord({ tenantId, key, kind, actor, content });
      expect(again).to.deep.include({ tenantId, key, kind, actor, reason: 'because' });
      expect(contentOf(again, 'USD')).to.deep.equal(content);
    });
  }

  it('that lacks what its kind needs is told to be corrupt', () => {
    const row = { tenantId: 'acme', key: 'k', kind: 'void' as const, actor: 'ops', content: { reason: 'because' } };
    let found: unknown;
    try {
      commandOfRecord(row);
    } catch (error) {
      found = error;
    }
    expect(isTollbookError(found, 'LEDGER_CORRUPT'), String(found)).to.equal(true);
  });
});
