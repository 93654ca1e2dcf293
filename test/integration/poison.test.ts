/**
 * Owns: that no message stops its partition: what fails whatever is done is found, put aside with its error, and charged by a
 * redrive when the cause is mended; everything around it is charged as if it were not there.
 */
import { expect } from 'chai';
import type { Chunk } from '../../src/consumers/charge-protocol.js';
import { ChunkJoiner } from '../../src/consumers/chunk-joiner.js';
import { PoisonHunt, ROW_MAX } from '../../src/consumers/poison-hunt.js';
import { redriveLetters } from '../../src/consumers/redrive.js';
import { chargingParts } from '../../src/cli/charging-parts.js';
import type { LetterSummary } from '../../src/ledger/dead-letter.js';
import { PostgresDeadLetterReader } from '../../src/ledger/postgres/postgres-dead-letter-reader.js';
import { PostgresDeadLetterStore } from '../../src/ledger/postgres/postgres-dead-letter-store.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { armFaults, disarmFaults } from '../../src/runtime/fault-points.js';
import { createLogger } from '../../src/runtime/logger.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { batchOf, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { completions, send } from '../support/usage-messages.js';
import { UNIT_PRICING, wireCompleted } from '../support/wire-usage.js';

describe('a message that fails whatever is done, among good ones', function () {
  this.timeout(120_000);
  const GOOD = 500;
  const POISONED = 'left-400';
  let world: LedgerWorld;

  before(async () => (world = await LedgerWorld.create({ partitions: 2 })));
  after(async () => {
    disarmFaults();
    await world.close();
  });

  async function chargedTraces(tenantId: string): Promise<number> {
    const [row] = await world.rows<{ count: string }>(
      `SELECT count(*) FROM ledger_entries WHERE tenant_id = $1 AND status = 'COMMITTED' AND type = 'DEDUCT'`,
      [tenantId],
    );
    return Number(row?.count);
  }

  async function letters(): Promise<LetterSummary[]> {
    const rows = await world.rows<{ topic: string; partition: number; kafka_offset: string }>(
      'SELECT topic, partition, kafka_offset FROM dead_letters',
    );
    const positions = rows.map(({ topic, partition, kafka_offset: offset }) => ({
      ...{ topic, partition, kafkaOffset: BigInt(offset) },
    }));
    return new PostgresDeadLetterReader(world.pool).at(positions);
  }

  it('is one dead letter with its stack; both partitions are charged to their ends, and a redrive charges it later', async () => {
    const [, topic] = world.topics;
    await send(world.kafka, topic, [
      ...completions('left', GOOD, { partition: 0 }),
      ...completions('right', GOOD, { partition: 1 }),
    ]);
    armFaults(`charge.deciding=poison:${POISONED}`);
    const ledger = await world.start();
    await world.drain();
    expect([await chargedTraces('left'), await chargedTraces('right')]).to.deep.equal([GOOD - 1, GOOD]);
    const put = await letters();
    expect(put).to.have.length(1);
    expect(put[0]).to.include({ reason: 'PROCESSING_FAILED', tenantId: 'left', traceId: POISONED, kafkaOffset: 400n });
    expect(put[0]?.detail).to.match(/^TypeError: Reflect\.get called on non-object at .*chunk-charge/);
    expect(put[0]?.detail).to.have.length.below(2_001);
    const failures = world.log.filter(({ msg }) => msg.startsWith('a message fails whatever is done'));
    expect(failures.map(({ partition }) => partition)).to.deep.equal([0]);

    const ports = {
      ...chargingParts(world.config, { scripts: world.scripts, logger: createLogger({ level: 'silent' }) }),
      letters: new PostgresDeadLetterStore(world.pool),
      topics: new Map([[topic, 'completed'] as const]),
    };
    const order = { letters: put, actor: 'ops', reason: 'mended', isDryRun: false };
    const [again] = await redriveLetters(ports, order);
    expect(again).to.include({ kind: 'stillDead', reason: 'PROCESSING_FAILED' });
    disarmFaults();
    const [redriven] = await redriveLetters(ports, order);
    expect(redriven).to.include({ kind: 'redriven', outcome: 'charged' });
    expect(await chargedTraces('left')).to.equal(GOOD);
    await world.stop(ledger);
    await world.assertProven();
  });
});

describe('finding the messages that fail', () => {
  let world: ProtocolWorld;

  before(async () => (world = await ProtocolWorld.open()));
  after(() => world.close());
  afterEach(() => disarmFaults());

  /** Charges as a process does, counting the database transactions that were tried. */
  function hunt(): { readonly poisonHunt: PoisonHunt; readonly transactions: () => number } {
    const protocol = world.protocol();
    let transactions = 0;
    const charging = new ChunkJoiner({
      chargeTogether: (chunks) => {
        transactions += 1;
        return protocol.chargeTogether(chunks);
      },
      transactionsMax: 3,
      messagesMax: 4_000,
    });
    const poisonHunt = new PoisonHunt({ charging, logger: world.logger });
    return { poisonHunt, transactions: () => transactions };
  }

  function chunkOf(stream: TestStream, tenantId: string, traces: readonly string[]): Chunk {
    return stream.chunk(traces.map((traceId) => wireCompleted({ tenantId, traceId, fields: { stream: true } })));
  }

  function numbered(count: number, poison: readonly number[]): string[] {
    return Array.from({ length: count }, (_, index) => `${poison.includes(index) ? 'poison' : 'good'}-${index}`);
  }

  async function chargedOf(tenantId: string): Promise<string[]> {
    const entries = await world.entries(tenantId);
    return entries.filter(({ type }) => type === 'DEDUCT').map(({ trace_id: traceId }) => traceId);
  }

  it('keeps the order of a partition, and takes few database transactions for each', async () => {
    const { poisonHunt, transactions } = hunt();
    const tenantId = world.tenant();
    const traces = numbered(256, [0, 100, 101, 255]);
    armFaults('charge.deciding=poison:poison-*');
    batchOf(await poisonHunt.charge(chunkOf(world.stream('completed'), tenantId, traces)));
    expect(await chargedOf(tenantId)).to.deep.equal(traces.filter((traceId) => traceId.startsWith('good')));
    expect(transactions()).to.be.at.most(4 * 2 * 8 + 4);
  });

  it('finds one that cannot even be decoded', async () => {
    const { poisonHunt } = hunt();
    const tenantId = world.tenant();
    const stream = world.stream('completed', 700n);
    armFaults('charge.decoding=poison:703');
    batchOf(await poisonHunt.charge(chunkOf(stream, tenantId, numbered(6, []))));
    expect(await chargedOf(tenantId)).to.deep.equal(['good-0', 'good-1', 'good-2', 'good-4', 'good-5']);
    const letters = await world.rows<{ kafka_offset: string; reason: string }>(
      'SELECT kafka_offset, reason FROM dead_letters WHERE partition = $1',
      [stream.source.partition],
    );
    expect(letters).to.deep.equal([{ kafka_offset: '703', reason: 'PROCESSING_FAILED' }]);
  });

  it('does not look for a message when a server is at fault', async () => {
    const { poisonHunt, transactions } = hunt();
    for (const code of ['POSTGRES_UNAVAILABLE', 'POSTGRES_CONFLICT', 'POSTGRES_FAILED', 'FENCED', 'LEDGER_CORRUPT']) {
      armFaults(`charge.decided=throw:${code}`);
      const before = transactions();
      const chunk = chunkOf(world.stream('completed'), world.tenant(), numbered(8, []));
      const error: unknown = await poisonHunt.charge(chunk).catch((caught: unknown) => caught);
      expect(isTollbookError(error) && error.code).to.equal(code);
      expect(transactions() - before).to.equal(1);
    }
  });

  it('stops a partition where everything fails after twenty messages, then after each, and goes on when one is charged', async () => {
    const { poisonHunt } = hunt();
    const [tenantId, stream] = [world.tenant(), world.stream('completed')];
    const whole = chunkOf(stream, tenantId, numbered(ROW_MAX + 40, []));
    armFaults('charge.deciding=poison:*');
    for (const look of [1, 2, 3]) {
      const error: unknown = await poisonHunt.charge(whole).catch((caught: unknown) => caught);
      expect(isTollbookError(error, 'PROCESSING_STOPPED'), String(error)).to.equal(true);
      const [row] = await world.rows<{ count: string }>('SELECT count(*) FROM dead_letters WHERE partition = $1', [
        stream.source.partition,
      ]);
      expect(Number(row?.count)).to.equal(ROW_MAX + look - 1);
    }
    disarmFaults();
    batchOf(await poisonHunt.charge(whole));
    expect(await chargedOf(tenantId)).to.have.length(40 - 2);
    armFaults('charge.deciding=poison:later-1');
    batchOf(await poisonHunt.charge(chunkOf(stream, tenantId, ['later-0', 'later-1', 'later-2'])));
  });

  it('calls a second completion with a meter that every object answers to a conflict, and nothing else', async () => {
    const { poisonHunt, transactions } = hunt();
    const [tenantId, stream] = [world.tenant(), world.stream('completed')];
    const usage = { input_tokens: 1, output_tokens: 0, meters: { constructor: 5 } };
    const pricing = { ...UNIT_PRICING, meters: { constructor: '1' } };
    const first = wireCompleted({ tenantId, traceId: 'trace', fields: { stream: true } });
    batchOf(await poisonHunt.charge(stream.chunk([first])));
    batchOf(await poisonHunt.charge(stream.chunk([{ ...first, usage, pricing }])));
    expect(transactions()).to.equal(2);
    const letters = await world.rows<{ reason: string; detail: string }>(
      'SELECT reason, detail FROM dead_letters WHERE tenant_id = $1',
      [tenantId],
    );
    expect(letters.map(({ reason }) => reason)).to.deep.equal(['CONFLICTING_DUPLICATE']);
    expect(letters[0]?.detail).to.include('usage.meters');
  });
});
