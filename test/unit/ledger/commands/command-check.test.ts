/** Owns: which fields of a command are refused before the ledger is asked. */
import { expect } from 'chai';
import { assertCommand } from '../../../../src/ledger/commands/command-check.js';
import type { CollectCommand, LedgerCommand, RefundCommand } from '../../../../src/ledger/commands/command.js';
import { type AmountNano, parseAmount } from '../../../../src/ledger/money.js';
import { errorOf } from '../error-of.js';
import { IDENTITY } from './command-samples.js';

const CREDIT: LedgerCommand = { kind: 'credit', ...IDENTITY, amountNano: parseAmount('1') };
const REFUND: RefundCommand = { kind: 'refund', ...IDENTITY, of: { traceId: 'trace-1' } };
const COLLECT: CollectCommand = { kind: 'collect', ...IDENTITY, traceId: 'trace-1', allowNegative: false };
const zero = parseAmount('0');
const negative = parseAmount('-0.000000001');

describe('the check of a command', () => {
  const REFUSED: readonly (readonly [string, LedgerCommand, RegExp])[] = [
    ['a tenant id with a blank', { ...CREDIT, tenantId: 'a b' }, /tenant id is "a b"; allowed: 1 to 256 of/],
    ['an empty key', { ...CREDIT, key: '' }, /idempotency key is ""; allowed: 1 to 256 of/],
    ['a missing reason', { ...CREDIT, reason: '' }, /reason is ""; allowed: 1 to 500 printable/],
    ['a reason of blanks', { ...CREDIT, reason: '  ' }, /reason is " {2}"; allowed/],
    ['an actor with a line break', { ...CREDIT, actor: 'a\nb' }, /actor is .*; allowed: 1 to 500 printable/],
    ['a currency in small letters', { ...CREDIT, currency: 'usd' }, /currency is "usd"; allowed: 3 to 8 capital/],
    ['a credit of nothing', { ...CREDIT, amountNano: zero }, /amount is "0\.0+"; allowed: more than zero/],
    ['a negative credit', { ...CREDIT, amountNano: negative }, /amount is "-0\.000000001"; allowed: more than zero/],
    ['an adjustment of nothing', { ...CREDIT, kind: 'adjust', amountNano: zero }, /amount .*; allowed: not zero/],
    ['a negative refund', { ...REFUND, amountNano: negative }, /amount .*; allowed: more than zero/],
    ['a refund of entry 0', { ...REFUND, of: { seq: 0 } }, /entry is "0"; allowed: a whole number from 1/],
    ['a refund of entry 1.5', { ...REFUND, of: { seq: 1.5 } }, /entry is "1\.5"; allowed/],
    ['a refund of a command', { ...REFUND, of: { traceId: '~key-1' } }, /trace id is "~key-1"; allowed/],
    ['a collect of the opening', { ...COLLECT, traceId: '~~open' }, /trace id is "~~open"; allowed/],
    ['a void of no trace', { kind: 'void', ...IDENTITY, traceId: '' }, /trace id is ""; allowed/],
    ['limits that change nothing', { kind: 'limits', ...IDENTITY, terms: {} }, /at least one of credit limit/],
    [
      'a negative credit limit',
      { kind: 'limits', ...IDENTITY, terms: { creditLimitNano: negative } },
      /credit limit .*; allowed: zero or more/,
    ],
    [
      'a quota of half a request',
      { kind: 'open-account', ...IDENTITY, terms: { dailyQuota: 0.5 } },
      /daily quota is "0\.5"; allowed: a whole number from 0/,
    ],
  ];
  for (const [what, command, message] of REFUSED) {
    it(`refuses ${what}, saying what is allowed`, () => {
      const error = errorOf(() => assertCommand(command));
      expect(error.code).to.equal('USAGE_INVALID');
      expect(error.message).to.match(message);
    });
  }

  it('refuses an amount of 2^63 nano-units', () => {
    const work = () => assertCommand({ ...CREDIT, amountNano: (2n ** 63n) as AmountNano });
    expect(errorOf(work).code).to.equal('MONEY_OUT_OF_RANGE');
  });

  it('accepts a quota of zero and a quota without a limit', () => {
    assertCommand({ kind: 'limits', ...IDENTITY, terms: { dailyQuota: 0, monthlyQuota: null } });
    assertCommand({ kind: 'open-account', ...IDENTITY, terms: {} });
  });
});
