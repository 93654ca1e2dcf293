/**
 * Owns: a ledger that keeps a journal of its commands, for tests of the journal: booking, publishing, replaying.
 * Does not own: the ledger and its servers (ledger-world.ts).
 */
import { expect } from 'chai';
import { JournalFollower } from '../../src/command-journal/journal-follower.js';
import { JournalIdentity } from '../../src/command-journal/journal-identity.js';
import type { ReplayResult } from '../../src/command-journal/replay-commands.js';
import { defaultTerms } from '../../src/cli/ledger-process.js';
import { bookCommand, type CommandResult } from '../../src/ledger/commands/book-command.js';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { parseAmount } from '../../src/ledger/money.js';
import { rowsThrough } from '../../src/ledger/postgres/anchor-rows.js';
import { readJournalLag } from '../../src/ledger/postgres/journal-rows.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { type JournalReplayRequest, replayJournal } from '../../src/operations/replay-journal.js';
import { systemClock } from '../../src/runtime/clock.js';
import { DurableProducer } from '../../src/runtime/durable-producer.js';
import { createLogger } from '../../src/runtime/logger.js';
import { uniqueTopic } from '../integration/kafka-topics.js';
import { LedgerWorld } from './ledger-world.js';
import { openApplicationPool, type TestDatabase } from './test-database.js';
import { runTollbook } from './tollbook-cli.js';

/** What `commands replay --json` prints, as far as tests look at it. */
export interface ReplayDocument {
  readonly booked: number;
  readonly would_book: number;
  readonly already_booked: number;
  readonly conflict: number;
  readonly refused: number;
  readonly malformed: number;
  readonly items: readonly { readonly key: string | null; readonly outcome: string; readonly message: string | null }[];
}

/** The settings that make a world keep a journal. */
export function journalSettings(): { TOLLBOOK_COMMANDS_TOPIC: string } {
  return { TOLLBOOK_COMMANDS_TOPIC: uniqueTopic('ledger.commands') };
}

/** A world with a journal of its own. */
export class JournalWorld {
  /** The journal of a ledger whose settings name one. */
  constructor(readonly ledger: LedgerWorld) {}

  static async create(): Promise<JournalWorld> {
    return new JournalWorld(await LedgerWorld.create({ partitions: 1, settings: journalSettings() }));
  }

  get topic(): string {
    return this.ledger.config.commandsTopic;
  }

  /** Books a command, by `ops` unless it says who. */
  book(command: LedgerCommand): Promise<CommandResult> {
    const { config, pool } = this.ledger;
    const defaults = { currency: config.defaultCurrency, terms: defaultTerms(config) };
    return bookCommand({ store: new PostgresLedgerStore(pool), clock: systemClock, defaults }, command);
  }

  /** Publishes what is booked, once, without a process. */
  async publish(): Promise<void> {
    const producer = new DurableProducer({ kafka: this.ledger.kafka });
    const logger = createLogger({ level: 'silent' });
    const { pool, kafka } = this.ledger;
    const { topic } = this;
    const identity = new JournalIdentity(kafka, topic);
    await new JournalFollower({ pool, producer, topic, identity, logger, intervalMs: 1_000 }).publish();
    await Promise.all([producer.disconnect(), identity.close()]);
  }

  /** How many commands are booked and not published. */
  async waiting(): Promise<number> {
    return (await readJournalLag(rowsThrough(this.ledger.pool), this.topic)).commands;
  }

  /** Replays the journal into another database, as `tollbook commands replay` does; accounts open with other terms there. */
  async replayInto(
    database: TestDatabase,
    { isDryRun = false, from }: Partial<JournalReplayRequest> = {},
  ): Promise<ReplayResult['counts']> {
    const { config, kafka } = this.ledger;
    const pool = openApplicationPool(database);
    const terms = { ...defaultTerms(config), creditLimitNano: parseAmount('99') };
    const defaults = { currency: config.defaultCurrency, terms };
    try {
      const ports = { pool, kafka, topic: this.topic, clock: systemClock, defaults };
      return (await replayJournal(ports, { isDryRun, from })).counts;
    } finally {
      await pool.end();
    }
  }

  /** Runs `tollbook commands replay --json`. */
  async replay(...flags: string[]): Promise<ReplayDocument & { readonly exitCode: number | null }> {
    const environment = this.ledger.environment as Record<string, string>;
    const { stdout, stderr, exitCode } = await runTollbook(['commands', 'replay', '--json', ...flags], environment);
    expect(stdout, stderr).to.not.equal('');
    return { ...(JSON.parse(stdout) as ReplayDocument), exitCode };
  }

  close(): Promise<void> {
    return this.ledger.close();
  }
}
