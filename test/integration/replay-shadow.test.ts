/**
 * Owns: that a ledger in which everything has happened can be charged again into a shadow without a difference, on real
 * servers; that other code, and another ledger, show, row by row; and that no shadow is left behind.
 */
import { expect } from 'chai';
import { amendLetter } from '../../src/consumers/amend-letter.js';
import { ChargeProtocol, type Chunk } from '../../src/consumers/charge-protocol.js';
import { intake } from '../../src/consumers/intake.js';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import { parseAmount } from '../../src/ledger/money.js';
import { attemptRepair } from '../../src/reconciliation/repair/repair-attempt.js';
import { PostgresRepairStore } from '../../src/reconciliation/repair/repair-store.js';
import { repairSource } from '../../src/reconciliation/repair/repair-stream.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { createShadow, otherShadows } from '../../src/reconciliation/shadow/shadow-database.js';
import { openEventfulLedger } from '../support/eventful-ledger.js';
import { batchOf, NO_LIMITS, type ProtocolWorld } from '../support/protocol-world.js';
import { comparedRows, feedOf, replayWorld, toldOf, withAccounts } from '../support/shadow-samples.js';
import type { RedriveWorld } from '../support/redrive-world.js';
import { wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

describe('the replay into a shadow', function () {
  this.timeout(180_000);
  let world: ProtocolWorld;

  before(async () => {
    const { redrive } = await openEventfulLedger();
    world = redrive.world;
    await passedOverAndRepaired(redrive);
    await amended(redrive);
    await refusedByRedisAlone();
    await chargedWithoutRedis();
  });
  after(() => world.close());

  /** A consumer loses two messages of a chunk, an event and one that is none; a repair sends them later. */
  async function passedOverAndRepaired(redrive: RedriveWorld): Promise<void> {
    const tenantId = 'faye';
    await world.credit(tenantId, '20');
    const event = (traceId: string): WireEvent => wireCompleted({ tenantId, traceId, units: 1 });
    const chunk = world.stream('completed').chunk([event('kept'), event('lost'), 'no event', event('also-kept')]);
    const messages = chunk.messages.filter((_, index) => index === 0 || index === 3);
    batchOf(await world.protocol().charge({ ...chunk, messages }));
    const ports = redrive.ports();
    const lost = chunk.messages.slice(1, 3).map((message) => ({
      position: { ...chunk.source, kafkaOffset: message.kafkaOffset },
      message: { ...message, timestampMs: world.clock.nowMs() },
      item: intake(message, 'completed', { ...ports.limits, nowMs: world.clock.nowMs() }),
    }));
    const signer = { runId: 'run-1', actor: 'ops', reason: 'lost' };
    const input = { source: repairSource(tenantId), lost, dead: new Map<string, never>(), signer };
    world.clock.atMs += 1_000;
    const store = new PostgresRepairStore(world.pool);
    const { results } = await store.transact(
      (transaction) => attemptRepair(ports, transaction, input),
      () => true,
    );
    const outcomes = results.map((result) => (result.kind === 'repaired' ? result.outcome : result.kind));
    expect(outcomes).to.deep.equal(['charged', 'deadLetter']);
  }

  /** A gateway sends a number as text; an operator corrects it. */
  async function amended(redrive: RedriveWorld): Promise<void> {
    const event = { tenantId: 'faye', traceId: 'amended', units: 2 };
    const usage = { input_tokens: '2', output_tokens: 0 };
    const [letter] = await redrive.bury(world.stream('completed'), [wireCompleted({ ...event, fields: { usage } })]);
    const value = Buffer.from(JSON.stringify(wireCompleted(event)));
    const signed = { actor: 'ops', reason: 'a number sent as text', isDryRun: false };
    expect(await amendLetter(redrive.ports(), { letter: letter!, value, ...signed })).to.include({
      outcome: 'charged',
    });
  }

  /** A gateway holds 15 of 20 units in Redis for a request that never reaches the ledger. */
  async function refusedByRedisAlone(): Promise<void> {
    const tenantId = 'dora';
    await world.credit(tenantId, '20');
    await world.project([tenantId]);
    const delta = {
      availableNano: parseAmount('-15'),
      checkBalance: true,
      requests: 1,
      checkQuota: true,
      day: '2026-03-15',
    };
    await world.scripts.deduct(
      [{ tenantId, ledgerSeq: 2, items: [{ traceId: 'elsewhere', phase: 'p', delta: { ...delta, requests: 1 } }] }],
      world.clock.nowMs(),
    );
    const events = [
      wireCompleted({ tenantId, traceId: 'small', units: 2 }),
      wireCompleted({ tenantId, traceId: 'by-redis', units: 9 }),
      wireCompleted({ tenantId, traceId: 'by-both', units: 90 }),
    ];
    batchOf(await world.protocol().charge(world.stream('completed').chunk(events)));
    expect(await world.statuses(tenantId)).to.deep.equal(['COMMITTED', 'FAILED', 'FAILED']);
  }

  async function chargedWithoutRedis(): Promise<void> {
    const tenantId = 'enid';
    await world.credit(tenantId, '5', { ...NO_LIMITS, dailyQuota: 2 });
    const events = ['a', 'b', 'c'].map((traceId) => wirePending({ tenantId, traceId, units: 1 }));
    batchOf(await world.protocol({ gate: LEDGER_ALONE }).charge(world.stream('pending').chunk(events)));
    expect(await world.statuses(tenantId)).to.deep.equal(['PENDING', 'PENDING', 'REFUSED']);
  }

  it('does not differ in a row from a ledger in which everything has happened', async () => {
    const found = await replayWorld(world);
    expect(toldOf(found)).to.deep.equal([]);
    expect(found.comparison.differences.total).to.equal(0);
    const [entries] = await world.rows<{ count: string }>('SELECT count(*) FROM ledger_entries');
    expect(comparedRows(found)).to.include({
      ledger_entries: Number(entries?.count),
      dead_letter_actions: 3,
      repaired_messages: 2,
    });
    expect(Object.keys(comparedRows(found))).to.include.members([
      ...[
        'ledger_batches',
        'ledger_commands',
        'dead_letters',
        'skipped_events',
        'unpriced_usage',
        'accounts',
        'open_holds',
      ],
    ]);
  });

  it('takes over what Redis alone refused, and nothing that the account itself refused', async () => {
    const { replay } = await replayWorld(world);
    expect(replay.refusalsTakenOver).to.equal(2);
  });

  it('names the rows that come out otherwise when the code rounds another way', async () => {
    const found = await replayWorld(world, {
      ports: { protocolOf: (options) => pricingUp(new ChargeProtocol(options), 'streamed') },
    });
    expect(toldOf(found)[0]).to.match(/^ledger_entries bolt\/\d+ different amount 2\.000000000 → 2\.000001000/);
    expect(found.replay.problems).to.equal(0);
    expect(found.comparison.differences.tables.find(({ table }) => table === 'ledger_batches')?.followers).to.be.above(
      0,
    );
  });

  it('shows code that grants what the ledger refused', async () => {
    const found = await replayWorld(world, {
      ports: {
        protocolOf: (options) =>
          new ChargeProtocol(
            withAccounts(options, (accounts) => {
              const bolt = accounts.get('bolt');
              if (bolt !== undefined) accounts.set('bolt', { ...bolt, creditLimitNano: parseAmount('9') });
              return accounts;
            }),
          ),
      },
    });
    expect(toldOf(found).join('\n')).to.contain('status REFUSED → PENDING');
  });

  it('shows a setting that is not that of the time', async () => {
    const found = await replayWorld(world, { charging: { holdTtlMs: { estimate: 59_000, none: 30_000 } } });
    expect(toldOf(found).join('\n')).to.match(/open_holds acme\/f different expires_at/);
  });

  it('goes on, and says why, where the code refuses a command that the ledger has', async () => {
    const found = await replayWorld(world, {
      ports: { protocolOf: (options) => without(new ChargeProtocol(options), 'failed') },
    });
    expect(toldOf(found)[0]).to.match(/^(TRACE_UNKNOWN|COLLECT_NOT_ALLOWED): /);
    expect(toldOf(found).join('\n')).to.match(/ledger_commands bolt\/collect onlyInLedger/);
  });

  it('names a row of the ledger that somebody has changed by hand', async () => {
    await world.asOwner(
      'ALTER TABLE skipped_events DISABLE TRIGGER USER',
      `UPDATE skipped_events SET reason = 'because' WHERE trace_id = 'internal'`,
    );
    const found = await replayWorld(world);
    await world.asOwner(
      `UPDATE skipped_events SET reason = 'no_pricing_or_internal' WHERE trace_id = 'internal'`,
      'ALTER TABLE skipped_events ENABLE TRIGGER USER',
    );
    expect(toldOf(found)).to.have.length(1);
    expect(toldOf(found)[0]).to.match(/^skipped_events \S+ different reason because → no_pricing_or_internal$/);
  });

  it('begins after what Kafka no longer has, on the ledger as it was then, and does not differ either', async () => {
    for (const { source, messages } of world.chunks.slice(0, -1)) {
      const first = messages[0]?.kafkaOffset ?? 0n;
      const logs = [{ source, start: first + 1n }];
      const found = await replayWorld(world, { ports: { logs, feed: feedOf(world) } });
      expect(found.span.first, 'first batch').to.be.above(1);
      expect(toldOf(found), `from batch ${found.span.first}`).to.deep.equal([]);
    }
  });

  it('tells of messages that expire while it runs instead of passing them over', async () => {
    const [chunk] = world.chunks;
    const { topic, partition } = chunk!.source;
    const found = await replayWorld(world, {
      ports: { feed: feedOf(world, new Map([[`${topic}/${partition}`, 100n]])) },
    });
    expect(toldOf(found)[0]).to.equal('Kafka no longer has all of its messages');
    expect(found.replay.problems).to.be.above(0);
  });

  it('refuses to begin before the first batch that can be replayed, and writes nothing', async () => {
    const [chunk] = world.chunks;
    const logs = [{ source: chunk!.source, start: 1n }];
    const failure = await replayWorld(world, { order: { first: 1 }, ports: { logs } }).catch((error: unknown) => error);
    expect(isTollbookError(failure, 'USAGE_INVALID'), String(failure)).to.equal(true);
    expect(String(failure)).to.match(/--from-batch is 1; allowed: \d+ or later/);
  });

  it('compares no further than the batch it is to end with', async () => {
    const found = await replayWorld(world, { order: { through: 5 } });
    expect(toldOf(found)).to.deep.equal([]);
    expect(found.replay.batches).to.equal(5);
    expect(found.comparison.movedOn).to.be.above(0);
  });

  it('drops the shadow when it is stopped, when it fails and when it is done, and keeps it when asked', async () => {
    expect(await otherShadows(world.database.url)).to.deep.equal([]);
    const controller = new AbortController();
    controller.abort();
    const stopped = await replayWorld(world, { watch: { signal: controller.signal } }).catch((error: unknown) => error);
    expect(isTollbookError(stopped, 'RUN_STOPPED'), String(stopped)).to.equal(true);
    const failed = await replayWorld(world, { ports: { topics: new Map() } }).catch((error: unknown) => error);
    expect(isTollbookError(failed, 'TOPIC_UNKNOWN'), String(failed)).to.equal(true);
    expect(await otherShadows(world.database.url)).to.deep.equal([]);
    const { shadow } = await replayWorld(world, { order: { through: 3, isKept: true } });
    expect(await otherShadows(world.database.url)).to.deep.equal([shadow]);
    await world.asOwner(`DROP DATABASE ${shadow} WITH (FORCE)`);
  });

  it('names the right that is missing when its user may not create databases', async () => {
    const url = new URL(world.database.url);
    await world.asOwner(`CREATE ROLE shadowless LOGIN PASSWORD 'none'`);
    [url.username, url.password] = ['shadowless', 'none'];
    const failure = await createShadow(url.href).catch((error: unknown) => error);
    await world.asOwner('DROP ROLE shadowless');
    expect(isTollbookError(failure, 'POSTGRES_FAILED'), String(failure)).to.equal(true);
    expect(String(failure)).to.contain('ALTER ROLE shadowless CREATEDB');
  });
});

type Charging = Pick<ChargeProtocol, 'charge'>;

/** Code that charges a trace a little more: as if its prices were rounded up. */
function pricingUp(protocol: Charging, traceId: string): Charging {
  const dearer = (text: string): string => text.replace('"input_per_1k":"1000"', '"input_per_1k":"1000.0005"');
  return mapping(protocol, traceId, dearer);
}

/** Code that loses the messages of a trace. */
function without(protocol: Charging, traceId: string): Charging {
  return {
    charge: (chunk) =>
      protocol.charge({ ...chunk, messages: chunk.messages.filter(({ value }) => !names(value, traceId)) }),
  };
}

function mapping(protocol: Charging, traceId: string, change: (text: string) => string): Charging {
  const changed = ({ value, ...message }: Chunk['messages'][number]): Chunk['messages'][number] => ({
    ...message,
    value: names(value, traceId) ? Buffer.from(change(value!.toString())) : value,
  });
  return { charge: (chunk) => protocol.charge({ ...chunk, messages: chunk.messages.map(changed) }) };
}

function names(value: Buffer | null, traceId: string): boolean {
  return value !== null && value.toString().includes(`"trace_id":"${traceId}"`);
}
