/**
 * Owns: bad record batches at scale: whatever a broker takes, and whatever bytes the record gate is given of those that no
 * broker takes, each batch is accounted for by entries, outcomes, dead letters or a stop that has a name, and neither
 * process that charges takes much memory.
 * 1,000 batches unless TOLLBOOK_FUZZ_BATCHES asks for another number, such as 100000; FC_SEED replays a run.
 */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { plainTable } from '../../src/cli/plain-table.js';
import { startProgress } from '../../src/cli/progress.js';
import { readHeader } from '../../src/records/batch-header.js';
import { zstdReady } from '../../src/records/zstd-frame.js';
import { propertySeed } from '../model/property-seed.js';
import type { ChargedBatches } from '../support/batch-charger.js';
import { killConsumers, startNode, startTollbook } from '../support/consume-child.js';
import {
  BATCH_SPOILS,
  type BatchSpoil,
  FUZZED_BATCHES_PER_PART,
  fuzzedBatches,
  NEVER_TAKEN,
} from '../support/fuzzed-batches.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { watchMemory } from '../support/process-memory.js';
import { RawProducer } from '../support/raw-produce.js';

const BATCHES = Number(process.env['TOLLBOOK_FUZZ_BATCHES'] ?? 1_000);
const PARTITIONS = 4;
const RESIDENT_MAX_MB = 400;
const MS_PER_BATCH_MAX = 20;
const FATES = ['charged', 'duplicates', 'superseded', 'skipped', 'unpriced', 'dead_letters'] as const;
const CHARGER = fileURLToPath(new URL('../support/batch-charger.js', import.meta.url));

/** How many batches of a kind went which way. */
interface Ways {
  taken: number;
  /** A broker was asked, and said no. */
  refused: number;
  /** No broker was asked, for it checks just that. */
  unsent: number;
}

describe('a flood of record batches', function () {
  this.timeout(180_000 + BATCHES * MS_PER_BATCH_MAX);
  const ways = new Map<BatchSpoil, Ways>(BATCH_SPOILS.map((spoil) => [spoil, { taken: 0, refused: 0, unsent: 0 }]));
  const refusals = new Map<string, number>();
  let world: LedgerWorld;
  let folder: string;
  let offsetsTaken = 0n;

  before(async () => {
    await zstdReady();
    folder = mkdtempSync(path.join(tmpdir(), 'tollbook-batches-'));
    world = await LedgerWorld.create({ partitions: PARTITIONS });
  });
  after(async () => {
    killConsumers();
    rmSync(folder, { recursive: true, force: true });
    await world.close();
  });

  const leftPath = (): string => path.join(folder, 'left');
  const leftTopic = (): string => `${world.config.topicCompleted}.left`;

  it(`of ${BATCHES} every one is accounted for, within ${RESIDENT_MAX_MB} MB`, async () => {
    const consumer = startTollbook(['consume', '--sweep-interval', '2'], {
      ...{ ...world.environment, TOLLBOOK_METRICS_PORT: '0', TOLLBOOK_INFLIGHT_TTL_MS: '2000' },
    });
    const watch = await watchMemory(consumer);
    await publishAll();
    const left = await chargeLeft();
    await world.until('everything taken is charged', async () => (await world.lag()) === 0n);
    // Two processes charge the same tenants, and only the consumer projects: its sweep finds what the other one has moved.
    let problems: readonly string[] = [];
    await world
      .until('Redis equals the ledger', async () => ({ problems } = await world.prove()).problems.length === 0)
      .catch((error: unknown) => expect.fail(`${String(error)}: ${problems.slice(0, 5).join('; ')}`));
    const { residentMb } = watch.take();
    await watch.stop();
    consumer.kill('SIGTERM');
    expect(await consumer.ended, consumer.log()).to.equal(0);
    await world.assertProven();
    tell(left, residentMb, await fates());
    await expectTakenAccounted();
    await expectLeftAccounted(left);
    for (const megabytes of [residentMb, left.residentMb]) expect(megabytes).to.be.within(1, RESIDENT_MAX_MB);
  });

  /** Gives every batch that a broker may take to one, and keeps the others. */
  async function publishAll(): Promise<void> {
    const progress = startProgress({ label: 'batches', total: BATCHES, unit: 'batches', silent: BATCHES < 10_000 });
    const seed = propertySeed();
    writeFileSync(leftPath(), '');
    const producers = await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => openProducer(partition)));
    for (let part = 0; part * FUZZED_BATCHES_PER_PART < BATCHES; part += 1) {
      const count = Math.min(FUZZED_BATCHES_PER_PART, BATCHES - part * FUZZED_BATCHES_PER_PART);
      const made = fuzzedBatches({ seed, part, count });
      const shares = producers.map((_, index) => made.filter((__, place) => place % PARTITIONS === index));
      await Promise.all(producers.map((producer, index) => publishShare(producer, shares[index] ?? [])));
      progress.set(part * FUZZED_BATCHES_PER_PART + count);
    }
    await Promise.all(producers.map((producer) => producer.close()));
    progress.stop();
  }

  function openProducer(partition: number): Promise<RawProducer> {
    return RawProducer.open(world.kafka, { topic: world.config.topicCompleted, partition });
  }

  async function publishShare(producer: RawProducer, batches: ReturnType<typeof fuzzedBatches>): Promise<void> {
    for (const { spoil, bytes } of batches) {
      const way = NEVER_TAKEN.has(spoil) ? 'unsent' : await published(producer, bytes);
      const counts = ways.get(spoil);
      if (counts !== undefined) counts[way] += 1;
      if (way === 'taken') {
        const { baseOffset, lastOffset } = readHeader(bytes);
        offsetsTaken += lastOffset - baseOffset + 1n;
      } else keep(bytes);
    }
  }

  async function published(producer: RawProducer, bytes: Buffer): Promise<'taken' | 'refused'> {
    try {
      await producer.append(bytes);
      return 'taken';
    } catch (error) {
      const { type, name } = error as { type?: string; name: string };
      // The broker's own word; a broken connection would not say what became of the batch.
      if (type === undefined) throw error;
      refusals.set(type, (refusals.get(type) ?? 0) + 1);
      expect(name).to.equal('KafkaJSProtocolError');
      return 'refused';
    }
  }

  function keep(bytes: Buffer): void {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(bytes.length);
    appendFileSync(leftPath(), Buffer.concat([head, bytes]));
  }

  /** Charges what no broker took by way of the record gate, in a process of its own. */
  async function chargeLeft(): Promise<ChargedBatches> {
    const child = startNode([CHARGER, leftPath(), leftTopic()], world.environment);
    expect(await child.ended, child.log()).to.equal(0);
    return JSON.parse(child.log().trim().split('\n').at(-1) ?? '') as ChargedBatches;
  }

  /** Fails unless every offset of the topics is in a sealed batch: as itself, or within the range of an unreadable batch. */
  async function expectTakenAccounted(): Promise<void> {
    const topic = world.config.topicCompleted;
    const ends = await world.admin.fetchTopicOffsets(topic);
    expect(ends.reduce((sum, { high }) => sum + BigInt(high), 0n)).to.equal(offsetsTaken);
    expect(await accounted(topic)).to.equal(offsetsTaken);
  }

  async function expectLeftAccounted(left: ChargedBatches): Promise<void> {
    const counts = [...ways.values()];
    expect(left.stops).to.not.have.property('NO_CODE');
    const stopped = Object.values(left.stops).reduce((sum, each) => sum + each, 0);
    expect(left.charged + stopped).to.equal(counts.reduce((sum, { refused, unsent }) => sum + refused + unsent, 0));
    expect(await accounted(leftTopic())).to.equal(BigInt(left.position) - BigInt(left.withoutMessage));
    expect(await sealedMessages(leftTopic())).to.equal(left.messages);
  }

  /** Offsets that the sealed batches of a topic account for. */
  async function accounted(topic: string): Promise<bigint> {
    const [row] = await world.rows<{ further: string }>(
      `SELECT coalesce(sum((m[2])::numeric - (m[1])::numeric), 0)::text AS further
       FROM dead_letters, regexp_match(detail, '^offsets (\\d+) to (\\d+): ') m
       WHERE topic = $1 AND reason = 'UNREADABLE_BATCH'`,
      [topic],
    );
    return BigInt(await sealedMessages(topic)) + BigInt(row?.further ?? 0);
  }

  async function sealedMessages(topic: string): Promise<number> {
    const counts = await fates([topic]);
    return FATES.reduce((sum, fate) => sum + counts[fate], 0);
  }

  async function fates(
    topics = [world.config.topicCompleted, leftTopic()],
  ): Promise<Record<(typeof FATES)[number], number>> {
    const sums = FATES.map((fate) => `coalesce(sum(${fate}), 0)::int AS ${fate}`).join(', ');
    const [row] = await world.rows<Record<(typeof FATES)[number], number>>(
      `SELECT ${sums} FROM ledger_batches WHERE topic = ANY($1)`,
      [topics],
    );
    return row!;
  }

  function tell(left: ChargedBatches, residentMb: number, counts: Record<(typeof FATES)[number], number>): void {
    const table = plainTable(
      ['batches', 'taken by the broker', 'refused by it', 'never sent'],
      ['left', 'right', 'right', 'right'],
    );
    for (const [spoil, { taken, refused, unsent }] of ways)
      table.push([spoil, String(taken), String(refused), String(unsent)]);
    const sum = (way: keyof Ways): string => String([...ways.values()].reduce((total, each) => total + each[way], 0));
    table.push(['all', sum('taken'), sum('refused'), sum('unsent')]);
    const stops = Object.entries(left.stops).map(([code, count]) => `${count} ${code}`);
    const lines = [
      table.toString(),
      `refused by the broker: ${[...refusals].map(([type, count]) => `${count} ${type}`).join(', ')}`,
      `given to the record gate: ${left.charged} charged, ${stops.join(', ')}`,
      `messages: ${FATES.map((fate) => `${counts[fate]} ${fate}`).join(', ')}`,
      `memory: ${residentMb.toFixed(0)} MB consuming, ${left.residentMb} MB at the record gate`,
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  }
});
