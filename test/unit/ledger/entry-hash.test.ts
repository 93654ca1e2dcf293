/** Owns: the canonical form of an entry and its hash, against texts written out by hand. */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { bookOpening } from '../../../src/ledger/charge.js';
import { canonicalEntry, entryHash } from '../../../src/ledger/canonical-entry.js';
import {
  balanceEffect,
  canonicalMeters,
  type EntryStatus,
  type EntryUsage,
  type LedgerEntry,
} from '../../../src/ledger/entry.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { account, charge, ORIGIN } from './usage-samples.js';

const CHARGE_TEXT =
  'tollbook.entry.v1\ttenant-1\t8\ttrace-1\tDEDUCT\tCOMMITTED\t0.018000000\t10.000000000\t9.982000000\t' +
  '0.000000000\t0.000000000\tUSD\t1\t2026-03-15\t1000\t1000\t0.003\t0.015\t\\N\tv1\tanthropic\t' +
  'claude-sonnet-4\tkey-1\tpreset-1\tfalse\tsucceeded\tfalse\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\tusage.completed\t3\t41\t' +
  '2026-03-15T10:00:00.000Z';

const OPENING_TEXT =
  'tollbook.entry.v1\ttenant-1\t1\t~~open\tLIMITS\tCOMMITTED\t0.000000000\t0.000000000\t0.000000000\t' +
  '0.000000000\t0.000000000\tUSD\t0\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t' +
  'account opened with configured defaults\t{"credit_limit":"0.000000000","daily_quota":"unlimited",' +
  '"hold_policy":"estimate","monthly_quota":"500"}\t\\N\t\\N\t\\N\tusage.completed\t3\t41\t2026-03-15T10:00:00.000Z';

/** The leaf hash of RFC 6962: SHA-256 of a zero byte and the text. */
function leafOf(text: string): string {
  return createHash('sha256').update(Buffer.of(0)).update(text, 'utf8').digest('hex');
}

function opening(): LedgerEntry {
  const empty = account({ balanceNano: parseAmount('0'), monthlyQuota: 500, seq: 0 });
  return bookOpening(empty, { source: ORIGIN.source, occurredAt: ORIGIN.occurredAt }).entry;
}

/** Each fact of an entry with another value; a field that the hash did not cover would be missed by an audit. */
const OTHER_VALUES: Omit<LedgerEntry, 'usage'> = {
  tenantId: 'tenant-2',
  seq: 9,
  traceId: 'trace-2',
  type: 'CREDIT',
  status: 'FAILED',
  amountNano: parseAmount('0.018000001'),
  balanceBeforeNano: parseAmount('11'),
  balanceAfterNano: parseAmount('-9.982'),
  heldBeforeNano: parseAmount('1'),
  heldAfterNano: parseAmount('2'),
  currency: 'EUR',
  requests: 0,
  countedOn: null,
  description: 'late',
  detail: { used: '5' },
  referenceSeq: 3,
  actor: 'ops@example.com',
  commandHash: 'ab'.repeat(32),
  source: { topic: 'usage.completed', partition: 3, kafkaOffset: 42n },
  occurredAt: '2026-03-15T10:00:00.001Z',
};

const OTHER_USAGE: EntryUsage = {
  inputTokens: 1001,
  outputTokens: null,
  inputPrice: '0.0030',
  outputPrice: null,
  meters: { requests: { quantity: 1, price: '10' } },
  priceVersion: null,
  provider: 'openai',
  model: null,
  apiKeyId: 'key-2',
  presetItemId: null,
  stream: true,
  outcome: 'cancelled',
  allowNegative: true,
  priceClass: 'priority',
  userId: 'user-1',
  projectId: 'project-1',
  tags: { team: 'search' },
};

/** The charge with other usage facts. */
function using(changes: Partial<EntryUsage>): LedgerEntry {
  return charge({ usage: { ...charge().usage, ...changes } });
}

describe('the hash of an entry', () => {
  it('is the leaf hash of the canonical form of a charge', () => {
    expect(canonicalEntry(charge())).to.equal(CHARGE_TEXT);
    expect(entryHash(charge())).to.equal(leafOf(CHARGE_TEXT));
    expect(leafOf(CHARGE_TEXT)).to.equal('03639dfc7c2d41c19a250163381078d2e96e426873de88b0d2323c3f2cc31f4e');
  });

  it('is the leaf hash of the canonical form of an opening, with its terms in ascending order of their names', () => {
    expect(canonicalEntry(opening())).to.equal(OPENING_TEXT);
    expect(entryHash(opening())).to.equal(leafOf(OPENING_TEXT));
  });

  for (const field of Object.keys(OTHER_VALUES) as (keyof typeof OTHER_VALUES)[]) {
    it(`covers ${field}`, () => {
      expect(entryHash(charge({ [field]: OTHER_VALUES[field] })) === entryHash(charge())).to.equal(false);
    });
  }

  for (const field of Object.keys(OTHER_USAGE) as (keyof EntryUsage)[]) {
    it(`covers ${field} of the usage`, () => {
      expect(entryHash(using({ [field]: OTHER_USAGE[field] })) === entryHash(charge())).to.equal(false);
    });
  }

  it('tells the topic, the partition and the position of the source apart', () => {
    const { source } = ORIGIN;
    const hashes = [
      charge({ source: { ...source, topic: 'usage.pending' } }),
      charge({ source: { ...source, partition: 4 } }),
      charge({ source: { ...source, kafkaOffset: 4n } }),
      charge({ source: { ...source, partition: 34, kafkaOffset: 1n } }),
    ].map((entry) => entryHash(entry));
    expect(new Set([...hashes, entryHash(charge())])).to.have.lengthOf(5);
  });

  it('tells an absent value from the text that stands for it', () => {
    const absent = entryHash(charge({ description: null }));
    expect(entryHash(charge({ description: '\\N' })) === absent).to.equal(false);
  });

  it('cannot be kept by moving a tab from one field to the next', () => {
    const honest = using({ provider: 'a', model: 'b\tc' });
    const forged = using({ provider: 'a\tb', model: 'c' });
    expect(entryHash(forged) === entryHash(honest)).to.equal(false);
  });

  it('does not depend on the order in which meters and details were put together', () => {
    const first = using({ meters: { requests: { quantity: 1, price: '10' }, images: { quantity: 2, price: '0.1' } } });
    const again = using({ meters: { images: { price: '0.1', quantity: 2 }, requests: { price: '10', quantity: 1 } } });
    const detailed = { ...first, detail: { limit: '5', used: '5' } };
    const detailedAgain = { ...again, detail: { used: '5', limit: '5' } };
    expect(entryHash(detailedAgain) === entryHash(detailed)).to.equal(true);
  });
});

describe('the canonical form of meters', () => {
  it('lists name, quantity and price in ascending order of the names', () => {
    const meters = { requests: { quantity: 1, price: '10' }, cached_input_tokens: { quantity: 960, price: '0.00030' } };
    expect(canonicalMeters(meters)).to.equal(
      '{"cached_input_tokens":{"quantity":960,"price":"0.00030"},"requests":{"quantity":1,"price":"10"}}',
    );
  });

  it('is null when there are none', () => {
    expect(canonicalMeters(null)).to.equal(null);
  });
});

describe('the effect of an entry on the balance', () => {
  const amountNano = parseAmount('5');

  it('is what a committed entry of each type takes or gives', () => {
    const effects = (['DEDUCT', 'CREDIT', 'REFUND', 'ADJUSTMENT', 'LIMITS'] as const).map((type) =>
      balanceEffect({ type, status: 'COMMITTED', amountNano }),
    );
    expect(effects).to.deep.equal([-5_000_000_000n, 5_000_000_000n, 5_000_000_000n, 5_000_000_000n, 0n]);
  });

  it('of an adjustment keeps its sign', () => {
    const amount = parseAmount('-5');
    expect(balanceEffect({ type: 'ADJUSTMENT', status: 'COMMITTED', amountNano: amount })).to.equal(-5_000_000_000n);
  });

  it('is nothing for every status but COMMITTED', () => {
    const others: EntryStatus[] = ['PENDING', 'REFUSED', 'FAILED', 'VOIDED', 'EXPIRED'];
    const effects = others.map((status) => balanceEffect({ type: 'DEDUCT', status, amountNano }));
    expect(effects).to.deep.equal([0n, 0n, 0n, 0n, 0n]);
  });
});
