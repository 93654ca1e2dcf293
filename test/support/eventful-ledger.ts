/**
 * Owns: a small ledger in which everything has happened that can leave a row: holds of both policies, charges, refusals,
 * every command, expiry, what is set aside, redrives, and an accepted loss.
 * Does not own: the worlds it happens in (protocol-world.ts, redrive-world.ts).
 */
import { discardLetters } from '../../src/ledger/discard-letters.js';
import { parseAmount } from '../../src/ledger/money.js';
import { acceptGap } from '../../src/ledger/postgres/stream-gaps.js';
import { TenantOfWorld } from './command-samples.js';
import { batchOf, NO_LIMITS, type TestStream } from './protocol-world.js';
import { RedriveWorld } from './redrive-world.js';
import { UNIT_PRICING, wireCompleted, type WireEvent, wirePending } from './wire-usage.js';

const units = parseAmount;
const SURCHARGED = { ...UNIT_PRICING, meters: { cached_input_tokens: '10', requests: '500' } };

/** The ledger, and the streams that its usage came in. */
export interface EventfulLedger {
  readonly redrive: RedriveWorld;
  /** Charged in four batches; the last of them has entries, and a loss was accepted before it. */
  readonly completions: TestStream;
  readonly pendings: TestStream;
}

/** Lets everything happen, to tenants `acme`, `bolt` and `corp`. */
export async function openEventfulLedger(): Promise<EventfulLedger> {
  const redrive = await RedriveWorld.open();
  const { world } = redrive;
  const [completions, pendings] = [world.stream('completed'), world.stream('pending')];
  const charge = async (stream: TestStream, events: readonly (WireEvent | string)[], skip = 0): Promise<void> => {
    batchOf(await world.protocol().charge(stream.chunk(events, skip)));
  };
  const [acme, bolt] = [new TenantOfWorld(world, 'acme'), new TenantOfWorld(world, 'bolt')];
  await acme.book({ kind: 'open-account', terms: { creditLimitNano: units('5') } }, 'opening');
  await acme.book({ kind: 'credit', amountNano: units('100') }, 'top-up');
  await world.credit('corp', '20', { ...NO_LIMITS, holdPolicy: 'none' });
  await charge(pendings, [
    ...['a', 'b', 'c', 'd', 'e'].map((traceId) => wirePending({ tenantId: 'acme', traceId, units: 9 })),
    ...['a', 'b'].map((traceId) => wirePending({ tenantId: 'corp', traceId, units: 9 })),
    wirePending({ tenantId: 'bolt', traceId: 'refused', units: 9 }),
  ]);
  await charge(completions, [
    wireCompleted({ tenantId: 'acme', traceId: 'a', units: 3 }),
    wireCompleted({ tenantId: 'acme', traceId: 'b', units: 4, fields: metered }),
    wireCompleted({ tenantId: 'acme', traceId: 'c', fields: cancelled }),
    wireCompleted({ tenantId: 'bolt', traceId: 'streamed', units: 2, fields: { stream: true } }),
    wireCompleted({ tenantId: 'corp', traceId: 'a', units: 6 }),
    'no event at all',
    wireCompleted({ tenantId: 'acme', traceId: 'internal', fields: { pricing: undefined } }),
    wireCompleted({ tenantId: 'acme', traceId: 'parked', fields: unpriced }),
  ]);
  await charge(completions, [wireCompleted({ tenantId: 'bolt', traceId: 'failed', units: 7 })]);
  await charge(completions, [wireCompleted({ tenantId: 'acme', traceId: 'a', units: 3 })]);
  await commandEverything({ acme, bolt });
  await buryAndRedrive(redrive);
  await world.expireHolds();
  await charge(
    pendings,
    ['f', 'g'].map((traceId) => wirePending({ tenantId: 'acme', traceId, units: 1 })),
  );
  await acceptGap(world.pool, { source: completions.source, toOffset: 15n, actor: 'ops', reason: 'retention' });
  await charge(
    completions,
    ['h', 'i'].map((traceId) => wireCompleted({ tenantId: 'acme', traceId, units: 2 })),
    5,
  );
  return { redrive, completions, pendings };
}

const metered = {
  usage: { input_tokens: 4, output_tokens: 0, meters: { requests: 1, cached_input_tokens: 30 } },
  pricing: SURCHARGED,
};
const cancelled = { outcome: 'cancelled', usage: { input_tokens: 0, output_tokens: 0 } };
const unpriced = { usage: { input_tokens: 1, output_tokens: 1 }, pricing: { input_per_1k: '1000', currency: 'USD' } };

/** After this, holds `d` and `e` of acme and `b` of corp are left to expire. */
async function commandEverything({ acme, bolt }: { acme: TenantOfWorld; bolt: TenantOfWorld }): Promise<void> {
  await acme.book({ kind: 'refund', of: { traceId: 'a' }, amountNano: units('1') }, 'refund');
  await acme.book({ kind: 'adjust', amountNano: units('-2.5') }, 'adjust');
  await acme.book({ kind: 'limits', terms: { dailyQuota: 1_000, monthlyQuota: null } }, 'limits');
  await acme.book({ kind: 'void', traceId: 'd' }, 'void');
  const prices = { outputPer1k: '2000', meters: {} };
  await acme.book({ kind: 'price', traceId: 'parked', prices, allowNegative: false }, 'price');
  await bolt.book({ kind: 'collect', traceId: 'failed', allowNegative: true }, 'collect');
}

async function buryAndRedrive(redrive: RedriveWorld): Promise<void> {
  const [first, second, third] = await redrive.buryOld('bolt', 3);
  await redrive.redrive([first!, second!]);
  const ports = { letters: redrive.store, clock: redrive.world.clock };
  await discardLetters(ports, { positions: [third!], actor: 'ops', reason: 'of no use' });
}
