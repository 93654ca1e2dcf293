/**
 * Owns: the long run of gateways and a ledger on three brokers that are restarted and killed under load, from the command
 * line, on a stack of its own; what it prints is the figure of what was acknowledged and lost.
 * Does not own: the failures (test/support/broker-failures.ts), the load (acknowledged-load.ts).
 * Invariants: the stack is taken down in every ending; the exit code is 0 only when no acknowledged event is missing.
 */
import 'reflect-metadata';
import path from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from '../../src/cli/option-values.js';
import { stackDown, stackUp } from '../../src/stack/local-stack.js';
import { BROKER_NAMES } from '../../src/stack/stack-state.js';
import { readTopic } from '../integration/kafka-topics.js';
import { AcknowledgedLoad } from '../support/acknowledged-load.js';
import { killBroker, restartAll } from '../support/broker-failures.js';
import { killConsumers } from '../support/consume-child.js';
import { FaultWorld } from '../support/fault-world.js';
import { COMPLETION_COST } from '../support/usage-messages.js';

interface BrokerFlags {
  readonly restarts: number;
  readonly kills: number;
  readonly rate: number;
  /** Publishes until so many are acknowledged, also when all failures are over. */
  readonly events: number;
}

const STACK_DIR = path.resolve('.tollbook', 'chaos-stack-cluster');
const PARTITIONS = 12;
const PROCESS_SETTINGS = { TOLLBOOK_CHUNK_MESSAGES_MAX: '2000' };

async function run(flags: BrokerFlags): Promise<void> {
  const stack = { dir: STACK_DIR, report: tell };
  await stackDown({ ...stack, purge: true });
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => reject(new Error(signal)));
  });
  try {
    const { addresses } = await stackUp({ ...stack, brokers: BROKER_NAMES.length });
    Object.assign(process.env, addresses, { TOLLBOOK_STACK_UNDER_TEST: STACK_DIR });
    await Promise.race([measure(flags), interrupted]);
  } finally {
    killConsumers();
    await stackDown({ ...stack, purge: true });
  }
}

async function measure(flags: BrokerFlags): Promise<void> {
  const world = await FaultWorld.create(PROCESS_SETTINGS, PARTITIONS);
  const { kafkaBrokers, topicPending, topicCompleted } = world.ledger.config;
  const topics = { pending: topicPending, completed: topicCompleted };
  const startedMs = performance.now();
  const load = await AcknowledgedLoad.start({
    ...{ brokers: kafkaBrokers.split(','), topics, ratePerSecond: flags.rate, prefix: 'brokers' },
  });
  const child = world.start();
  await breakBrokers(world, flags, () => tell(`${load.acknowledged.length} events are acknowledged`));
  await load.reached(flags.events);
  await load.stop();
  const publishedMs = performance.now() - startedMs;
  const [stored, traces] = await storedTraces(world, topicCompleted);
  tell(`${load.acknowledged.filter((traceId) => !traces.has(traceId)).length} of them are in no partition`);
  const missing = await world.uncharged(load.acknowledged, child);
  const rejected = [...load.rejected.values()].reduce((sum, count) => sum + count, 0);
  const figures = {
    ...{ restarts: flags.restarts, kills: flags.kills, seconds: Math.round(publishedMs / 1_000) },
    ...{ acknowledged: load.acknowledged.length, lost: missing.length },
    ...{ storedAgain: stored - load.acknowledged.length, rejected, reasons: Object.fromEntries(load.rejected) },
  };
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
  process.exitCode = missing.length === 0 ? 0 : 1;
  if (missing.length > 0) tell(`not in the ledger: ${missing.slice(0, 20).join(', ')}`);
  else await prove(world, load, child);
  await world.close();
}

/** How many messages a topic holds, and of which traces. */
async function storedTraces(world: FaultWorld, topic: string): Promise<[number, ReadonlySet<string>]> {
  const messages = await readTopic(world.ledger.kafka, topic);
  const events = messages.map(({ value }) => JSON.parse(value) as { readonly trace_id: string });
  return [messages.length, new Set(events.map((event) => event.trace_id))];
}

/** All restarts, with the kills between them. */
async function breakBrokers(world: FaultWorld, { restarts, kills }: BrokerFlags, report: () => void): Promise<void> {
  const rounds = Math.max(restarts, 1);
  for (let round = 0; round < rounds; round += 1) {
    if (round < restarts) await restartAll(world.replicated);
    report();
    const until = Math.ceil((kills * (round + 1)) / rounds);
    for (let kill = Math.ceil((kills * round) / rounds); kill < until; kill += 1) {
      await killBroker(BROKER_NAMES[kill % BROKER_NAMES.length] ?? 'kafka', world.replicated);
      report();
    }
  }
}

/** Everything that holds after any fault: charged once, proofs clean, Redis equal to the ledger. */
async function prove(world: FaultWorld, load: AcknowledgedLoad, child: ReturnType<FaultWorld['start']>): Promise<void> {
  for (const _ of load.acknowledged) world.besides.push(COMPLETION_COST);
  await world.recover('broker failures', performance.now(), [child]);
  tell('all proofs are clean');
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

const program = new Command('brokers')
  .description('restart and kill the brokers of a cluster of three under load, then look every acknowledged event up')
  .option('--restarts <n>', 'rolling restarts of all three', wholeNumber(0, 100), 4)
  .option('--kills <n>', 'brokers killed', wholeNumber(0, 100), 8)
  .option('--rate <n>', 'events a second', wholeNumber(10, 20_000), 300)
  .option('--events <n>', 'least number of events to publish', wholeNumber(0, 10_000_000), 100_000)
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  tell(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
}
