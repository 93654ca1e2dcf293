/** Owns: what a command is compared with when its key comes again. */
import { expect } from 'chai';
import { assertSameCommand, contentOf } from '../../../../src/ledger/commands/command-content.js';
import type { LedgerCommand } from '../../../../src/ledger/commands/command.js';
import { parseAmount } from '../../../../src/ledger/money.js';
import { errorOf } from '../error-of.js';
import { charge } from '../usage-samples.js';
import { IDENTITY } from './command-samples.js';

const CREDIT: LedgerCommand = { kind: 'credit', ...IDENTITY, amountNano: parseAmount('12.5') };

function recordedAs(command: LedgerCommand) {
  const { kind, actor } = command;
  return { kind, actor, content: contentOf(command, 'USD'), entry: charge({ seq: 9 }) };
}

describe('the content of a command', () => {
  const CONTENTS: readonly (readonly [LedgerCommand, object])[] = [
    [CREDIT, { amount: '12.500000000', currency: 'USD' }],
    [
      { kind: 'adjust', ...IDENTITY, amountNano: parseAmount('-1'), currency: 'USD' },
      { amount: '-1.000000000', currency: 'USD' },
    ],
    [
      { kind: 'refund', ...IDENTITY, of: { traceId: 'a' } },
      { trace: 'a', amount: 'all that is left', currency: 'USD' },
    ],
    [
      { kind: 'refund', ...IDENTITY, of: { seq: 3 }, amountNano: parseAmount('1') },
      { entry: '3', amount: '1.000000000', currency: 'USD' },
    ],
    [
      { kind: 'limits', ...IDENTITY, terms: { dailyQuota: null, creditLimitNano: parseAmount('5') } },
      { daily_quota: 'unlimited', credit_limit: '5.000000000', currency: 'USD' },
    ],
    [
      { kind: 'open-account', ...IDENTITY, terms: { monthlyQuota: 7, holdPolicy: 'none' }, currency: 'USD' },
      { monthly_quota: '7', hold_policy: 'none', currency: 'USD' },
    ],
    [
      { kind: 'collect', ...IDENTITY, traceId: 'a', allowNegative: true },
      { trace: 'a', allow_negative: 'true' },
    ],
    [{ kind: 'void', ...IDENTITY, traceId: 'a' }, { trace: 'a' }],
  ];
  for (const [command, expected] of CONTENTS) {
    it(`of ${command.kind} is its parameters and its reason as text (${Object.keys(expected).join(', ')})`, () => {
      expect(contentOf(command, 'USD')).to.deep.equal({ ...expected, reason: 'asked by the tenant' });
    });

    it(`of ${command.kind} is the same when it is sent again (${Object.keys(expected).join(', ')})`, () => {
      assertSameCommand(command, recordedAs(command));
    });
  }
});

describe('a command sent again', () => {
  it('is the same when it leaves out the currency it named, or names the one it left out', () => {
    assertSameCommand({ ...CREDIT, currency: 'USD' }, recordedAs(CREDIT));
    assertSameCommand(CREDIT, recordedAs({ ...CREDIT, currency: 'USD' }));
  });

  it('is another one when it names another currency than the account has', () => {
    const error = errorOf(() => assertSameCommand({ ...CREDIT, currency: 'EUR' }, recordedAs(CREDIT)));
    expect(error.message).to.include('currency was "USD", now "EUR"');
  });

  const CHANGES: readonly (readonly [string, LedgerCommand])[] = [
    ['amount', { ...CREDIT, amountNano: parseAmount('12.500000001') }],
    ['actor', { ...CREDIT, actor: 'someone else' }],
    ['reason', { ...CREDIT, reason: 'a gift' }],
    ['kind', { ...CREDIT, kind: 'adjust' }],
  ];
  for (const [field, command] of CHANGES) {
    it(`with another ${field} is refused, naming that field and both values`, () => {
      const error = errorOf(() => assertSameCommand(command, recordedAs(CREDIT)));
      expect(error.code).to.equal('IDEMPOTENCY_KEY_REUSED');
      expect(error.context['fields']).to.deep.equal([field]);
      expect(error.message).to.match(
        new RegExp(`^key key-1 of tenant tenant-1 was used for the credit of entry 9: ${field} was .+, now .+$`),
      );
    });
  }

  it('is refused when it gives a term that was not given before', () => {
    const limits: LedgerCommand = { kind: 'limits', ...IDENTITY, terms: { dailyQuota: 1 } };
    const more: LedgerCommand = { ...limits, terms: { dailyQuota: 1, monthlyQuota: null } };
    const error = errorOf(() => assertSameCommand(more, recordedAs(limits)));
    expect(error.message).to.include('monthly_quota was not given, now "unlimited"');
  });
});
