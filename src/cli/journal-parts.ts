/**
 * Owns: the journal of commands and the watch over their chains, as a process runs them, made from the settings.
 * Does not own: what they do (src/command-journal).
 * Invariants: without TOLLBOOK_COMMANDS_TOPIC nothing is published and no journal is read; the chains are watched all the same.
 */
import type pg from 'pg';
import { HistoryWatch } from '../command-journal/history-watch.js';
import { JournalFollower } from '../command-journal/journal-follower.js';
import { JournalIdentity } from '../command-journal/journal-identity.js';
import { rowsThrough } from '../ledger/postgres/anchor-rows.js';
import { readJournalLag } from '../ledger/postgres/journal-rows.js';
import type { ProcessWatch } from '../process/process-watch.js';
import { systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import { DurableProducer } from '../runtime/durable-producer.js';
import { createKafka } from '../runtime/kafka.js';
import type { Logger } from '../runtime/logger.js';
import type { Metrics } from '../runtime/metrics.js';

const FOLLOW_INTERVAL_MS = 1_000;
const WATCH_INTERVAL_MS = 2_000;
const JOURNAL_INTERVAL_MS = 5_000;
/** Some two seconds in all: the position of a stream is locked meanwhile. */
const PRODUCER_RETRIES = 4;

/** The topics that a process publishes commands to: none, or one. */
export function journalTopics({ commandsTopic }: Readonly<Config>): string[] {
  return commandsTopic === '' ? [] : [commandsTopic];
}

/** What the journal of a process needs of it. */
export interface JournalParts {
  readonly pool: pg.Pool;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly watch: ProcessWatch;
}

/** Starts the watch, and the journal where the settings ask for one; returns how to stop both. */
export function startJournal(config: Readonly<Config>, parts: JournalParts): () => Promise<void> {
  const { pool, logger, metrics, watch } = parts;
  const [topic] = journalTopics(config);
  const kafka = createKafka({ brokers: config.kafkaBrokers.split(','), clientId: 'tollbook-journal', retries: 2 });
  const history = new HistoryWatch({
    rows: rowsThrough(pool),
    journal: topic === undefined ? undefined : { kafka, topic },
    clock: systemClock,
    logger,
    intervalMs: WATCH_INTERVAL_MS,
    journalEveryMs: JOURNAL_INTERVAL_MS,
    alarmEveryMs: config.alarmAfterMs,
  });
  watch.parts.lostHistory = () => history.lost();
  watchHistory(metrics, history);
  history.start();
  if (topic === undefined) return () => history.stop();
  watchLag(metrics, pool, topic);
  const producer = new DurableProducer({ kafka, retries: PRODUCER_RETRIES, logger });
  const identity = new JournalIdentity(kafka, topic);
  const follower = new JournalFollower({ pool, producer, topic, identity, logger, intervalMs: FOLLOW_INTERVAL_MS });
  follower.start();
  return async () => {
    await Promise.all([history.stop(), follower.stop()]);
  };
}

function watchHistory(metrics: Metrics, history: HistoryWatch): void {
  metrics.watchGauge(
    {
      name: 'tollbook_history_lost_batches',
      help: 'Batches of commands, redrives or repairs that PostgreSQL no longer has, until they are mended: an alarm.',
      labelNames: ['topic', 'partition'],
    },
    () =>
      Promise.resolve(history.lost().map(({ source, from, to }) => ({ labels: { ...source }, value: to - from + 1 }))),
  );
}

function watchLag(metrics: Metrics, pool: pg.Pool, topic: string): void {
  const lag = (): ReturnType<typeof readJournalLag> => readJournalLag(rowsThrough(pool), topic);
  metrics.watchGauge(
    {
      name: 'tollbook_journal_lag',
      help: 'Commands that are booked and not in the journal yet.',
      labelNames: ['topic'],
    },
    async () => [{ labels: { topic }, value: (await lag()).commands }],
  );
  metrics.watchGauge(
    {
      name: 'tollbook_journal_lag_seconds',
      help: 'How long ago the oldest command was booked that is not in the journal yet; 0 without one.',
      labelNames: ['topic'],
    },
    async () => [{ labels: { topic }, value: (await lag()).oldestS }],
  );
}
