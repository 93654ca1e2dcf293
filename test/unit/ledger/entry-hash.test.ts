/** Owns: the canonical form of an entry and its hash, against texts written out by hand. */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { bookOpening } from '../../../src/ledger/charge.js';
import {
  balanceEffect,
  canonicalEntry,
  canonicalMeters,
  entryHash,
  type EntryStatus,
  type EntryUsage,
  type LedgerEntry,
} from '../../../src/ledger/entry.js';
import { parseAmount } from '../../../src/ledger/money.js';
import { account, charge, ORIGIN } from './usage-samples.js';

const CHARGE_TEXT =
  '["tollbook.entry.v1","tenant-1","8","trace-1","DEDUCT","COMMITTED","0.018000000","10.000000000","9.982000000",' +
  '"0.000000000","0.000000000","USD","1","2026-03-15","1000","1000","0.003","0.015",null,"v1","anthropic",' +
  '"claude-sonnet-4","key-1","preset-1","false","succeeded","false",null,null,null,null,"usage.completed","3","41",' +
  '"2026-03-15T10:00:00.000Z"]';

const OPENING_TEXT =
  '["tollbook.entry.v1","tenant-1","1","~~open","LIMITS","COMMITTED","0.000000000","0.000000000","0.000000000",' +
  '"0.000000000","0.000000000","USD","0",null,null,null,null,null,null,null,null,null,null,null,null,null,null,' +
  '"account opened with configured defaults","[[\\"credit_limit\\",\\"0.000000000\\"],[\\"daily_quota\\",\\"unlimited\\"],' +
  '[\\"hold_policy\\",\\"estimate\\"],[\\"monthly_quota\\",\\"500\\"]]",null,null,"usage.completed","3","41",' +
  '"2026-03-15T10:00:00.000Z"]';

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
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
};

/** The charge with other usage facts. */
function using(changes: Partial<EntryUsage>): LedgerEntry {
  return charge({ usage: { ...charge().usage, ...changes } });
}

describe('the hash of an entry', () => {
  it('is the SHA-256 of the canonical form of a charge', () => {
    expect(canonicalEntry(charge())).to.equal(CHARGE_TEXT);
    expect(entryHash(charge())).to.equal(sha256(CHARGE_TEXT));
    expect(sha256(CHARGE_TEXT)).to.equal('cb063661d84ab80c49e13df65eb2f71b2151fb5311bca52c7980375147eba406');
  });

  it('is the SHA-256 of the canonical form of an opening, with its terms in ascending order of their names', () => {
    expect(canonicalEntry(opening())).to.equal(OPENING_TEXT);
    expect(entryHash(opening())).to.equal(sha256(OPENING_TEXT));
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

  it('tells an absent value from the text "null"', () => {
    const absent = entryHash(charge({ description: null }));
    expect(entryHash(charge({ description: 'null' })) === absent).to.equal(false);
  });

  it('cannot be kept by moving a quotation mark from one field to the next', () => {
    const honest = using({ provider: 'a', model: 'b","c' });
    const forged = using({ provider: 'a","b', model: 'c' });
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
    expect(canonicalMeters(meters)).to.equal('[["cached_input_tokens","960","0.00030"],["requests","1","10"]]');
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
