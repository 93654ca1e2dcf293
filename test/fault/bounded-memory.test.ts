/**
 * Owns: the memory of a consumer: bounded by what it fetches and charges at once, never by how much waits, how large it
 * is, or how long a server stands still.
 * What is promised: with a heap of 64 MB (Node's own default is 2 GB or more) it drains a backlog larger than all its memory, most
 * of it messages at the limit of an event's size; while PostgreSQL lets it wait, it fetches nothing further; while
 * Redis stands still, no more than ten seconds of unanswered questions are kept.
 * What is not: bytes are counted as Kafka sends them, so a backlog that compresses n times takes n times as much of them.
 */
import { expect } from 'chai';
import type { Message } from 'kafkajs';
import { startTollbook, killConsumers } from '../support/consume-child.js';
import { reviveServer, signalServer, useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { type MemoryWatch, watchMemory } from '../support/process-memory.js';
import { completion, COMPLETION_COST, messageOf, send } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const HEAP_MB = 64;
/** Seen: 166 to 197 MB, of which 60 are the program; buffers of messages lie outside of the heap. */
const RESIDENT_MAX_MB = 320;
const PARTITIONS = 3;
const TENANTS = 200;
/** Just below the largest event that is accepted, 256 KiB. */
const LARGE_BYTES = 250 * 1024;
const ROUNDS = 8;
const [SMALL, LARGE, REFUSED] = [2_500, 50, 20];
const LOCKED_MS = 4_000;
const REACH_MAX_MS = 90_000;

describe('the memory of a consumer', function () {
  this.timeout(240_000);
  let world: FaultWorld;
  let published = 0;

  useFaultStack();

  before(async () => {
    world = await FaultWorld.create({ TOLLBOOK_CHUNK_MESSAGES_MAX: '2000', TOLLBOOK_METRICS_PORT: '0' }, PARTITIONS);
  });

  after(async () => {
    killConsumers();
    await reviveServer('redis');
    await world.close();
  });

  function charged(bytes?: number): Message {
    published += 1;
    const message = messageOf(completion(`t-${published % TENANTS}`, `trace-${published}`), published % PARTITIONS);
    world.besides.push(COMPLETION_COST);
    if (bytes === undefined) return message;
    const text = String(message.value);
    return { ...message, value: Buffer.from(`${text.slice(0, -1)}${' '.repeat(bytes - text.length)}}`) };
  }

  function refused(): Message {
    published += 1;
    return { key: 'nobody', value: Buffer.alloc(LARGE_BYTES, 'x'), partition: published % PARTITIONS };
  }

  /** Publishes small and large events and large garbage; returns how many MB. */
  async function publishMixed(rounds: number): Promise<number> {
    let bytes = 0;
    for (let round = 0; round < rounds; round += 1) {
      const messages = [
        Array.from({ length: SMALL }, () => charged()),
        Array.from({ length: LARGE / 2 }, () => charged(LARGE_BYTES)),
        Array.from({ length: LARGE / 2 }, () => charged(LARGE_BYTES)),
        Array.from({ length: REFUSED }, () => refused()),
      ];
      for (const batch of messages) {
        await send(world.ledger.kafka, world.ledger.config.topicCompleted, batch);
        bytes += batch.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
      }
    }
    return bytes / 1e6;
  }

  /** Keeps every charge waiting, as a slow database does, while more is published. */
  async function letWait(watch: MemoryWatch): Promise<void> {
    const client = await world.ledger.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT FROM accounts FOR UPDATE');
      const lockedMs = performance.now();
      const before = await world.ledger.lag();
      watch.take();
      await publishMixed(1);
      await waitUntil('charging has waited', () => performance.now() - lockedMs > LOCKED_MS);
      expect(await world.ledger.lag()).to.satisfy((lag: bigint) => lag > before);
      const { residentMb, heapMb } = watch.take();
      expect(residentMb, 'while it waits').to.be.within(1, RESIDENT_MAX_MB);
      expect(heapMb, 'while it waits').to.be.below(HEAP_MB);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  }

  it('stays below a heap of 64 MB over a larger backlog, while PostgreSQL and Redis stand still', async () => {
    const backlogMb = await publishMixed(ROUNDS);
    expect(backlogMb).to.be.above(2 * HEAP_MB);
    signalServer('redis', 'SIGSTOP');
    const child = startTollbook(['consume'], world.ledger.environment, [`--max-old-space-size=${HEAP_MB}`]);
    const watch = await watchMemory(child);
    await waitUntil('it charges', async () => (await world.ledger.count('ledger_batches')) >= 3, REACH_MAX_MS);
    await letWait(watch);
    await waitUntil('it gives up what Redis owes', () => child.log().includes('Socket timeout'), REACH_MAX_MS);
    signalServer('redis', 'SIGCONT');
    await waitUntil('the rest is charged', async () => (await world.ledger.lag()) === 0n, REACH_MAX_MS);
    const { residentMb, heapMb } = watch.take();
    await watch.stop();
    process.stdout.write(
      `      backlog ${backlogMb.toFixed(0)} MB, at most ${residentMb.toFixed(0)} MB resident, heap ${heapMb.toFixed(0)} MB\n`,
    );
    expect(residentMb).to.be.within(1, RESIDENT_MAX_MB);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    expect(await world.ledger.count('dead_letters')).to.equal((ROUNDS + 1) * REFUSED);
    await world.recover('a backlog larger than memory', performance.now());
  });
});
