/**
 * Owns: `tollbook replay --into-shadow`: the command line of the replay.
 * Does not own: the replay (src/reconciliation/shadow), how a result looks (replay-text.ts).
 * Invariants: stdout carries the result alone, with --json exactly one JSON document; exit code 0 only when not a single
 * row differs; Ctrl-C leaves no shadow behind.
 */
import { type Command } from 'commander';
import type { UsageKind } from '../consumers/intake.js';
import { assertPriceBook } from '../ledger/postgres/price-books.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { KafkaFeed } from '../reconciliation/shadow/message-feed.js';
import { clustersOf } from '../reconciliation/shadow/recorded-ledger.js';
import { otherShadows } from '../reconciliation/shadow/shadow-database.js';
import {
  replayIntoShadow,
  type ShadowReplay,
  type ShadowReplayPorts,
  type ShadowReplayWatch,
} from '../reconciliation/shadow/shadow-replay.js';
import { TopicReader } from '../reconciliation/topic/topic-reader.js';
import { systemClock } from '../runtime/clock.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { listenForStop } from '../runtime/shutdown.js';
import { chargingSettings } from './charging-parts.js';
import { wholeNumber } from './option-values.js';
import { type Progress, startProgress } from './progress.js';
import { readerKafka } from './reconcile-world.js';
import { isEqual, replayDocument, replayText } from './replay-text.js';
import { printJson, printText } from './output.js';

interface ReplayFlags {
  readonly intoShadow?: boolean;
  readonly fromBatch?: number;
  readonly toBatch?: number;
  readonly show: number;
  readonly keep?: boolean;
  readonly json?: boolean;
}

const CONNECTIONS = 4;
const SHOWN_MAX = 10_000;

const HELP = `
The gate before an upgrade: run it with the new version against the ledger of the old one. A database is created beside the
ledger's (DATABASE_OWNER_URL, whose user must be allowed to) and migrated; every sealed batch is charged again into it, with
the same messages and commands together, in the same order and at the same time; then both ledgers are compared row by row.
Nothing is written to the ledger, no consumer group is joined, and traffic may go on. Redis is not asked: what was in
flight at a refusal is taken from the entry, and the refusal itself must be found again. Settings that decide what is charged
(TOLLBOOK_PRICE_BOOK, TOLLBOOK_DEFAULT_*, TOLLBOOK_HOLD_TTL_MS, …) must be those of the time, or their effect shows.

Where Kafka no longer has the first messages, the replay begins after them, and the ledger before is taken over as it is.
Exit code 0: not a row differs. 1: something does. See docs/replay.md.`;

/** Adds `replay` to the program. */
export function registerReplayCommand(program: Command): void {
  program
    .command('replay')
    .description('charge everything again into a shadow database, and compare it with the ledger row by row')
    .option('--into-shadow', 'where to: the only place there is, so that nothing is replayed by mistake')
    .option(
      '--from-batch <id>',
      'begin with this batch; the ledger before is taken over',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--to-batch <id>', 'end with this batch (default: the last one)', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--show <n>', 'tell at most so many differing rows', wholeNumber(1, SHOWN_MAX), 20)
    .option('--keep', 'keep the shadow, to look into it')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', HELP)
    .action(runReplay);
}

async function runReplay(flags: ReplayFlags): Promise<void> {
  assertFlags(flags);
  const found = await withReplayPorts(async (ports) => {
    await tellOthers(ports.ownerUrl);
    return watched(flags, (watch) =>
      replayIntoShadow(
        ports,
        { first: flags.fromBatch, through: flags.toBatch, isKept: flags.keep === true, keptMax: flags.show },
        watch,
      ),
    );
  });
  print(found, flags);
}

function print(found: ShadowReplay, { json, keep }: ReplayFlags): void {
  if (json === true) printJson(replayDocument(found, keep === true));
  else printText(replayText(found, keep === true));
  if (!isEqual(found)) process.exitCode = 1;
}

/** Throws USAGE_INVALID. */
function assertFlags({ intoShadow, fromBatch, toBatch }: ReplayFlags): void {
  if (intoShadow !== true) {
    throw new TollbookError(
      'USAGE_INVALID',
      '--into-shadow is not given; allowed: with it, since a replay goes nowhere else',
    );
  }
  if (fromBatch !== undefined && toBatch !== undefined && toBatch < fromBatch) {
    throw new TollbookError(
      'USAGE_INVALID',
      `--to-batch is ${toBatch}; allowed: --from-batch, which is ${fromBatch}, or more`,
    );
  }
}

async function tellOthers(ownerUrl: string): Promise<void> {
  for (const name of await otherShadows(ownerUrl)) {
    process.stderr.write(
      `shadow ${name} of another run is there; unless that runs still: DROP DATABASE ${name} WITH (FORCE)\n`,
    );
  }
}

/** Shows the progress of each phase; the first signal stops the replay. */
async function watched<T>({ json }: ReplayFlags, work: (watch: ShadowReplayWatch) => Promise<T>): Promise<T> {
  const stop = listenForStop();
  const controller = new AbortController();
  void stop.received.then(() => controller.abort());
  let progress: Progress | undefined;
  try {
    return await work({
      signal: controller.signal,
      onPhase: (label, total, unit) => {
        progress?.stop();
        progress = startProgress({ label, total, unit, silent: json === true });
      },
      onProgress: (done) => progress?.set(done),
    });
  } finally {
    progress?.stop();
    stop.release();
  }
}

/** Opens what a replay reads, and closes it. Throws CONFIG_INVALID, TOPIC_MISSING, CLUSTER_MISMATCH, PRICE_BOOK_UNKNOWN, … */
async function withReplayPorts<T>(work: (ports: ShadowReplayPorts) => Promise<T>): Promise<T> {
  const config = loadConfig();
  const { databaseUrl: url, databaseRole: role } = config;
  const live = createPostgresPool({ url, role, applicationName: 'tollbook-replay', connectionsMax: CONNECTIONS });
  try {
    if (config.priceBook !== '') await assertPriceBook(live, config.priceBook, 'TOLLBOOK_PRICE_BOOK');
    const topics = topicsOf(config);
    const cursors = await new PostgresLedgerReader(live).readCursors();
    const reader = await TopicReader.open(readerKafka(config), [...topics.keys()], cursors);
    try {
      const { clusterId } = reader;
      assertCluster(await clustersOf(live, [...topics.keys()]), clusterId);
      const bounds = (await Promise.all([...topics.keys()].map((topic) => reader.bounds(topic)))).flat();
      const feed = new KafkaFeed(reader, bounds.length);
      const [charging, ownerUrl] = [chargingSettings(config), config.databaseOwnerUrl];
      return await work({
        ...{ live, feed, charging, topics, clusterId, ownerUrl, logs: bounds },
        nowMs: () => systemClock.nowMs(),
      });
    } finally {
      await reader.close();
    }
  } finally {
    await live.end();
  }
}

function topicsOf({ topicPending, topicCompleted }: Readonly<Config>): Map<string, UsageKind> {
  return new Map([
    [topicPending, 'pending'],
    [topicCompleted, 'completed'],
  ]);
}

function assertCluster(recorded: ReadonlySet<string>, found: string): void {
  const other = [...recorded].find((id) => id !== found);
  if (other === undefined) return;
  throw new TollbookError(
    'CLUSTER_MISMATCH',
    `the ledger was charged from Kafka cluster ${other}, connected is ${found}: their offsets are of other messages`,
  );
}
