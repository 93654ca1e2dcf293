/** The life of a trace on real servers: every cell of the table in src/ledger/trace.ts, by example. */
import { expect } from 'chai';
import type { BatchCounts } from '../../src/ledger/batch.js';
import { expectAtRest } from '../support/at-rest.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

/**
 * What a letter of a step stands for; the number after it is the units of the estimate or of the usage. A `t` alone lets
 * the time of every open hold pass.
 */
const STEPS: Readonly<Record<string, WireEvent>> = {
  p: {},
  c: {},
  s: { stream: true },
  n: { stream: true, allow_negative: false },
  x: { outcome: 'cancelled' },
  f: { outcome: 'failed' },
};

interface Exceptions extends Partial<BatchCounts> {
  readonly held?: number;
  /** Requests counted, unless it is one. */
  readonly requests?: number;
}

/** The steps of a trace of a tenant that has 10 units; its entries; the balance afterwards; in words; what else differs. */
type TraceRow = readonly [steps: string, statuses: string, balance: number, behaviour: string, exceptions?: Exceptions];

const UNCOUNTED = { requests: 0 };
const ROWS: readonly TraceRow[] = [
  ['p5', 'PENDING', 10, 'a pending event holds its estimate and leaves the balance alone', { held: 5 }],
  ['p5 c3', 'PENDING COMMITTED', 7, 'a completion below its hold costs what was used and releases the hold'],
  ['p5 c8', 'PENDING COMMITTED', 2, 'a completion above its hold costs what was used and releases the hold'],
  ['c3', 'COMMITTED', 7, 'a completion without a pending event is charged'],
  ['c3 p5', 'COMMITTED', 7, 'a pending event after its completion is superseded', { superseded: 1 }],
  ['p11', 'REFUSED', 10, 'a pending event beyond the balance is refused', UNCOUNTED],
  [
    'p11 p11',
    'REFUSED',
    10,
    'a refused pending event that comes again is a duplicate',
    { ...UNCOUNTED, duplicates: 1 },
  ],
  ['p11 c3', 'REFUSED COMMITTED', 7, 'a completion after a refusal is charged late'],
  ['p11 x0', 'REFUSED', 10, 'a cancellation after a refusal is superseded', { ...UNCOUNTED, superseded: 1 }],
  ['p5 p5', 'PENDING', 10, 'a second pending event is a duplicate', { held: 5, duplicates: 1 }],
  ['c3 c3', 'COMMITTED', 7, 'a second completion is a duplicate', { duplicates: 1 }],
  ['c3 c4', 'COMMITTED', 7, 'a second completion with other content is a dead letter', { deadLetters: 1 }],
  ['c11', 'FAILED', 10, 'a completion beyond the balance fails', UNCOUNTED],
  ['p5 c11', 'PENDING FAILED', 10, 'a failed completion gives its hold and its request back', UNCOUNTED],
  ['c11 c11', 'FAILED', 10, 'a failed completion that comes again is a duplicate', { ...UNCOUNTED, duplicates: 1 }],
  ['c11 p5', 'FAILED', 10, 'a pending event after a failed completion is superseded', { ...UNCOUNTED, superseded: 1 }],
  ['p5 x0', 'PENDING VOIDED', 10, 'a cancellation without usage gives hold and request back', UNCOUNTED],
  ['f0', 'VOIDED', 10, 'a failure without usage voids a trace that was never held', UNCOUNTED],
  ['p5 x0 x0', 'PENDING VOIDED', 10, 'a second cancellation is superseded', { ...UNCOUNTED, superseded: 1 }],
  ['x0 p5', 'VOIDED', 10, 'a pending event after a void is superseded', { ...UNCOUNTED, superseded: 1 }],
  ['p5 x0 c3', 'PENDING VOIDED COMMITTED', 7, 'a completion after a void is charged late'],
  ['x3', 'COMMITTED', 7, 'a cancellation with usage is charged'],
  ['t', '', 10, 'time that passes without a trace changes nothing', UNCOUNTED],
  ['p5 t', 'PENDING EXPIRED', 10, 'a hold past its time is released and its request given back', UNCOUNTED],
  ['p5 t t', 'PENDING EXPIRED', 10, 'a hold that has expired does not expire again', UNCOUNTED],
  ['p5 t p5', 'PENDING EXPIRED', 10, 'a pending event after an expiry is superseded', { ...UNCOUNTED, superseded: 1 }],
  ['p5 t x0', 'PENDING EXPIRED', 10, 'a cancellation after an expiry is superseded', { ...UNCOUNTED, superseded: 1 }],
  ['p5 t c3', 'PENDING EXPIRED COMMITTED', 7, 'a completion after an expiry is charged once and late'],
  ['p5 t c11', 'PENDING EXPIRED FAILED', 10, 'a completion after an expiry fails beyond the balance', UNCOUNTED],
  ['p5 c3 t', 'PENDING COMMITTED', 7, 'a trace that was charged does not expire'],
  ['p5 c11 t', 'PENDING FAILED', 10, 'a trace whose charge failed does not expire', UNCOUNTED],
  ['p5 x0 t', 'PENDING VOIDED', 10, 'a trace that was voided does not expire', UNCOUNTED],
  ['p11 t', 'REFUSED', 10, 'a trace that was refused does not expire', UNCOUNTED],
  ['s11', 'COMMITTED', -1, 'a streamed completion is charged beyond the balance'],
  ['n11', 'FAILED', 10, 'a streamed completion that disallows a negative balance fails beyond it', UNCOUNTED],
];

const NO_COUNTS = { charged: 0, openings: 0, duplicates: 0, superseded: 0, skipped: 0, unpriced: 0, deadLetters: 0 };

describe('the life of a trace', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  /** Charges each step as a chunk of its own; returns what became of the messages, added up. */
  async function deliver(tenantId: string, steps: string): Promise<BatchCounts> {
    const streams = { pending: world.stream('pending'), completed: world.stream('completed') };
    const sum: Record<keyof BatchCounts, number> = { ...NO_COUNTS };
    for (const step of steps.split(' ')) {
      if (step === 't') {
        await world.expireHolds();
        continue;
      }
      const choices = { tenantId, traceId: 'trace', units: Number(step.slice(1)), fields: STEPS[step.charAt(0)] ?? {} };
      const chunk = step.startsWith('p')
        ? streams.pending.chunk([wirePending(choices)])
        : streams.completed.chunk([wireCompleted(choices)]);
      const { counts } = batchOf(await world.protocol().charge(chunk));
      for (const name of Object.keys(sum) as (keyof BatchCounts)[]) sum[name] += counts[name];
    }
    return sum;
  }

  for (const [steps, statuses, balance, behaviour, { held = 0, requests = 1, ...counts } = {}] of ROWS) {
    it(`${behaviour}, and delivering it all again adds no entry`, async () => {
      const tenantId = world.tenant();
      const expected = statuses.split(' ').filter((status) => status !== '');
      const charged = expected.filter((status) => status !== 'EXPIRED').length;
      await world.credit(tenantId, '10');
      expect(await deliver(tenantId, steps)).to.deep.equal({ ...NO_COUNTS, charged, ...counts });
      expect((await deliver(tenantId, steps)).charged).to.equal(0);
      const entries = (await world.entries(tenantId)).filter(({ type }) => type === 'DEDUCT');
      expect(entries.map(({ status }) => status)).to.deep.equal(expected);
      expect(entries.at(-1)?.description === 'late').to.equal(behaviour.endsWith('late'));
      const nano = { balanceNano: BigInt(balance) * 1_000_000_000n, heldNano: BigInt(held) * 1_000_000_000n };
      expect(await world.account(tenantId)).to.include({ ...nano, dailyUsed: requests, monthlyUsed: requests });
      await expectAtRest(world, [tenantId]);
    });
  }
});
