/** What a balance or a request quota lets through, with many writers at once, with Redis, without it, and after its loss. */
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { createServer } from 'node:net';
import type { AccountTerms } from '../../src/ledger/account.js';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { Projector } from '../../src/projections/projector.js';
import { createRedis } from '../../src/runtime/redis.js';
import { expectAtRest } from '../support/at-rest.js';
import { startOwnRedis } from '../support/own-redis.js';
import { type EntryText, NO_LIMITS, ProtocolWorld } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const PARTITIONS = 5;
const CHUNKS_PER_PARTITION = 20;
const COVERED = 37;
const REFUSED = PARTITIONS * CHUNKS_PER_PARTITION - COVERED;
const DAY_MS = 24 * 3_600_000;

interface Limit {
  readonly name: string;
  readonly credit: string;
  readonly terms: AccountTerms;
  readonly refusal: Pick<EntryText, 'description' | 'detail'>;
}

const LIMITS: readonly Limit[] = [
  {
    name: 'a balance',
    credit: `${COVERED}`,
    terms: NO_LIMITS,
    refusal: { description: 'INSUFFICIENT_BALANCE', detail: { required: '1.000000000', available: '0.000000000' } },
  },
  {
    name: 'a daily quota',
    credit: '1000',
    terms: { ...NO_LIMITS, dailyQuota: COVERED },
    refusal: { description: 'DAILY_QUOTA_EXCEEDED', detail: { limit: `${COVERED}`, used: `${COVERED}` } },
  },
  {
    name: 'a monthly quota',
    credit: '1000',
    terms: { ...NO_LIMITS, monthlyQuota: COVERED },
    refusal: { description: 'MONTHLY_QUOTA_EXCEEDED', detail: { limit: `${COVERED}`, used: `${COVERED}` } },
  },
];

const [BALANCE] = LIMITS as [Limit, ...Limit[]];
const ROUNDS = 10;

/** A port on which nothing listens. */
async function deadPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('limits under concurrent charges', () => {
  let world: ProtocolWorld;
  let projector: Projector;
  let away: Redis;
  const WAYS: readonly (readonly [how: string, redisOf: () => Redis])[] = [
    ['with Redis up', () => world.server.redis],
    ['with Redis away', () => away],
  ];

  before(async () => {
    world = await ProtocolWorld.open();
    const { reader, scripts, logger } = world;
    const onFatal = (error: Error): void => void world.logLines.push(`fatal: ${error.message}`);
    projector = new Projector({ reader, scripts, logger, onFatal });
    away = createRedis(`redis://127.0.0.1:${await deadPort()}`, { onError: () => undefined });
  });
  after(async () => {
    away.disconnect();
    await projector.stop();
    await world.close();
  });

  const scriptsByRedis = new Map<Redis, QuotaScripts>();
  function scriptsOn(redis: Redis): QuotaScripts {
    const known = scriptsByRedis.get(redis) ?? new QuotaScripts(redis, { prefix: world.server.prefix });
    scriptsByRedis.set(redis, known);
    return known;
  }

  /** Charges 100 completions of one unit, each as a chunk of its own, several partitions at once. */
  async function race(
    tenantId: string,
    servers: { redis: Redis; afterChunk?: (chunks: number) => Promise<unknown> },
  ): Promise<void> {
    const scripts = scriptsOn(servers.redis);
    const protocol = world.protocol({
      gate: world.gate(scripts),
      wakeProjector: (advances) => projector.markAdvanced(advances),
    });
    let charged = 0;
    const partition = async (name: number): Promise<void> => {
      const stream = world.stream('completed');
      for (let index = 0; index < CHUNKS_PER_PARTITION; index += 1) {
        const outcome = await protocol.charge(
          stream.chunk([wireCompleted({ tenantId, traceId: `trace-${name}-${index}` })]),
        );
        expect(outcome.kind).to.equal('charged');
        await servers.afterChunk?.((charged += 1));
      }
    };
    await Promise.all(Array.from({ length: PARTITIONS }, (_none, name) => partition(name)));
    await projector.idle();
  }

  async function expectCovered(tenantId: string, { refusal }: Limit): Promise<void> {
    const entries = (await world.entries(tenantId)).filter(({ type }) => type === 'DEDUCT');
    const failed = entries.filter(({ status }) => status === 'FAILED');
    expect(entries.filter(({ status }) => status === 'COMMITTED')).to.have.length(COVERED);
    expect(failed).to.have.length(REFUSED);
    for (const { description, detail } of failed) expect({ description, detail }).to.deep.equal(refusal);
    expect(await world.account(tenantId)).to.include({ dailyUsed: COVERED, monthlyUsed: COVERED });
    await expectAtRest(world, [tenantId]);
  }

  for (const limit of LIMITS) {
    it(`${limit.name} that covers ${COVERED} of 100 requests commits exactly those`, async () => {
      const tenantId = world.tenant();
      await world.credit(tenantId, limit.credit, limit.terms);
      await race(tenantId, { redis: world.server.redis });
      await expectCovered(tenantId, limit);
    });

    it(`${limit.name} that covers ${COVERED} of 100 requests commits exactly those while Redis is away`, async () => {
      const tenantId = world.tenant();
      await world.credit(tenantId, limit.credit, limit.terms);
      await race(tenantId, { redis: away });
      await expectCovered(tenantId, limit);
    });

    it(`${limit.name} that covers ${COVERED} of 100 requests commits exactly those though Redis loses everything meanwhile`, async () => {
      const tenantId = world.tenant();
      await world.credit(tenantId, limit.credit, limit.terms);
      const losing = async (chunks: number): Promise<unknown> =>
        chunks % 25 === 0 ? world.server.redis.flushall() : undefined;
      await race(tenantId, { redis: world.server.redis, afterChunk: losing });
      await expectCovered(tenantId, limit);
    });
  }

  it(`a balance that covers ${COVERED} of 100 requests commits exactly those when Redis is killed half-way, ten times out of ten`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const own = await startOwnRedis();
      try {
        const tenantId = world.tenant();
        await world.credit(tenantId, BALANCE.credit, BALANCE.terms);
        const killing = async (chunks: number): Promise<unknown> => (chunks === 50 ? own.kill() : undefined);
        await race(tenantId, { redis: own.redis, afterChunk: killing });
        await world.project([tenantId]);
        await expectCovered(tenantId, BALANCE);
      } finally {
        await own.close();
      }
    }
  });

  for (const [how, redisOf] of WAYS) {
    it(`a balance that covers ${COVERED} of 100 requests commits exactly those ${how}, ten times out of ten`, async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const tenantId = world.tenant();
        await world.credit(tenantId, BALANCE.credit, BALANCE.terms);
        await race(tenantId, { redis: redisOf() });
        await expectCovered(tenantId, BALANCE);
      }
    });
  }

  it('refuses what a hold in flight has taken, with what is required, available and in flight', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10');
    await world.project([tenantId]);
    const day = '2026-03-15';
    const held = {
      tenantId,
      traceId: 'elsewhere',
      amountNano: 7_000_000_000n,
      checkBalance: true,
      checkQuota: true,
      day,
    };
    expect(await world.scripts.hold(held, world.clock.nowMs())).to.deep.equal({ kind: 'granted' });
    const events = [
      wirePending({ tenantId, traceId: 'a', units: 4 }),
      wirePending({ tenantId, traceId: 'b', units: 3 }),
    ];
    await world.protocol().charge(world.stream('pending').chunk(events));
    const [refused, granted] = (await world.entries(tenantId)).filter(({ type }) => type === 'DEDUCT');
    expect(refused).to.include({ status: 'REFUSED', description: 'INSUFFICIENT_BALANCE', amount: '4.000000000' });
    const figures = { available: '3.000000000', in_flight: '-7.000000000', required: '4.000000000' };
    expect(refused?.detail).to.deep.equal(figures);
    expect(granted).to.include({ status: 'PENDING', held_after: '3.000000000' });
    await world.scripts.release(tenantId, 'elsewhere');
    await expectAtRest(world, [tenantId]);
  });

  it('refuses for the balance before the daily quota, and for the daily quota before the monthly one', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '1', { ...NO_LIMITS, dailyQuota: 0, monthlyQuota: 0 });
    const stream = world.stream('completed');
    const events = [
      wireCompleted({ tenantId, traceId: 'dear', units: 2 }),
      wireCompleted({ tenantId, traceId: 'cheap', units: 1 }),
    ];
    await world.protocol().charge(stream.chunk(events));
    const reasons = (await world.entries(tenantId))
      .filter(({ type }) => type === 'DEDUCT')
      .map(({ description }) => description);
    expect(reasons).to.deep.equal(['INSUFFICIENT_BALANCE', 'DAILY_QUOTA_EXCEEDED']);
  });

  it('counts a request in the windows of its day, opens a new day at zero and judges a late one by its own', async () => {
    const tenantId = world.tenant();
    await world.credit(tenantId, '10', { ...NO_LIMITS, dailyQuota: 1 });
    const stream = world.stream('completed');
    const on = (day: string, traceId: string): ReturnType<typeof stream.chunk> =>
      stream.chunk([wireCompleted({ tenantId, traceId, fields: { occurred_at: `${day}T08:00:00Z` } })]);
    const protocol = world.protocol();
    for (const chunk of [on('2026-03-15', 'first'), on('2026-03-15', 'second')]) await protocol.charge(chunk);
    world.clock.atMs += DAY_MS;
    await protocol.charge(on('2026-03-16', 'third'));
    await world.project([tenantId]);
    for (const chunk of [on('2026-03-15', 'late'), on('2026-03-16', 'fourth')]) await protocol.charge(chunk);
    world.clock.atMs -= DAY_MS;
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED', 'FAILED', 'COMMITTED', 'FAILED', 'FAILED']);
    expect(await world.account(tenantId)).to.include({
      dailyDate: '2026-03-16',
      dailyUsed: 1,
      monthlyMonth: '2026-03',
      monthlyUsed: 2,
      pastCounts: '1|',
    });
    await expectAtRest(world, [tenantId]);
  });
});
