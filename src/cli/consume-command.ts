/**
 * Owns: `tollbook consume` and `tollbook project`: running until asked to stop.
 * Does not own: what they run (ledger-process.ts).
 * Invariants: SIGTERM and SIGINT stop with exit code 0, also while it starts, and within seconds, also while a server does
 * not answer; a fatal error stops as far as possible and is thrown.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { ChunkOutcome } from '../consumers/charge-protocol.js';
import { loadConfig } from '../runtime/config.js';
import type { TollbookError } from '../runtime/errors.js';
import { createLogger, type Logger } from '../runtime/logger.js';
import { listenForStop } from '../runtime/shutdown.js';
import { type LedgerProcess, startLedgerProcess } from './ledger-process.js';

interface RunFlags {
  readonly project?: boolean;
  readonly sweepInterval: number;
}

const SWEEP_INTERVAL_DEFAULT_S = 60;
const REPORT_INTERVAL_MS = 10_000;
/** Less than the 10 s after which supervisors usually kill. */
const STOP_MAX_MS = 8_000;

/** Adds `consume` and `project` to the program. */
export function registerConsumeCommand(program: Command): void {
  withSweepInterval(program.command('consume'))
    .description('charge the usage topics into the ledger, and keep the quota hashes current, until SIGTERM')
    .option('--no-project', 'leave projection to `tollbook project`')
    .action((flags: RunFlags) => run({ consumes: true, projects: flags.project !== false, flags }));
  withSweepInterval(program.command('project'))
    .description('keep the quota hashes in Redis equal to the ledger, until SIGTERM')
    .action((flags: RunFlags) => run({ consumes: false, projects: true, flags }));
}

function withSweepInterval(command: Command): Command {
  const description = 'how often all hashes are compared with the ledger, and stale in-flight items dropped';
  return command.option('--sweep-interval <seconds>', description, positiveSeconds, SWEEP_INTERVAL_DEFAULT_S);
}

function positiveSeconds(text: string): number {
  const seconds = Number(text);
  if (!Number.isFinite(seconds) || seconds < 1 || seconds > 86_400) {
    throw new InvalidArgumentError('allowed: 1 to 86400 seconds');
  }
  return seconds;
}

async function run({
  consumes,
  projects,
  flags,
}: {
  consumes: boolean;
  projects: boolean;
  flags: RunFlags;
}): Promise<void> {
  const config = loadConfig();
  const logger = createLogger({ level: config.logLevel, name: 'tollbook' });
  const stop = listenForStop();
  const stopping = new AbortController();
  void stop.received.then(() => stopping.abort());
  const tally = new ChunkTally(logger);
  let fail: (error: TollbookError) => void;
  const fatal = new Promise<TollbookError>((resolve) => (fail = resolve));
  const starting = startLedgerProcess({
    config,
    logger,
    consumes,
    projects,
    sweepIntervalMs: flags.sweepInterval * 1000,
    onChunk: (outcome) => tally.add(outcome),
    onFatal: (error) => fail(error),
    stopping: stopping.signal,
  });
  const running = starting.then(async () => {
    logger.info({ consumes, projects }, 'running; SIGTERM stops cleanly');
    return Promise.race([stop.received, fatal]);
  });
  const ending = await Promise.race([stop.received, fatal, running]);
  logger.info({ because: typeof ending === 'string' ? ending : ending.code }, 'stopping');
  await stopInTime(starting, logger);
  tally.stop();
  stop.release();
  if (typeof ending !== 'string') throw ending;
  logger.info('stopped');
}

/** Stops a process, running or starting. A server that does not answer is not waited for: a crash would lose nothing either. */
async function stopInTime(starting: Promise<LedgerProcess>, logger: Logger): Promise<void> {
  const stopped = starting.then(
    (ledger) => ledger.stop(),
    () => undefined,
  );
  const isStopped = await Promise.race([stopped.then(() => true), delay(STOP_MAX_MS, false)]);
  if (isStopped) return;
  logger.warn(
    { waitedMs: STOP_MAX_MS },
    'a server does not answer: stopping without it; open chunks are charged again',
  );
}

/** Tells now and then what has been charged. */
class ChunkTally {
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #entries = 0;
  #chunks = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#timer = setInterval(() => this.#report(), REPORT_INTERVAL_MS);
  }

  add(outcome: ChunkOutcome): void {
    if (outcome.kind !== 'charged') return;
    this.#chunks += 1;
    this.#entries += outcome.batch.counts.charged;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#report();
  }

  #report(): void {
    if (this.#chunks > 0)
      this.#logger.info({ entries: this.#entries, chunks: this.#chunks }, 'charged since the last report');
    this.#entries = 0;
    this.#chunks = 0;
  }
}
