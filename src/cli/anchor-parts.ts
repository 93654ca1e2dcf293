/**
 * Owns: the places anchors are kept in, made from the settings or from an option; and the publisher of a process.
 * Does not own: what any of them does (src/reconciliation).
 * Invariants: without a setting nothing is published, and nothing is connected.
 */
import { InvalidArgumentError } from 'commander';
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import { rowsThrough } from '../ledger/postgres/anchor-rows.js';
import type { AnchorPlace } from '../reconciliation/anchor.js';
import { AnchorFile } from '../reconciliation/anchor-file.js';
import type { AnchorSink } from '../reconciliation/anchor-heads.js';
import { AnchorPublisher } from '../reconciliation/anchor-publisher.js';
import { AnchorTopic } from '../reconciliation/anchor-topic.js';
import { systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import type { Logger } from '../runtime/logger.js';

/** The topics that a process publishes anchors to: none, or one. */
export function anchorTopics({ anchorTopic }: Readonly<Config>): string[] {
  return anchorTopic === '' ? [] : [anchorTopic];
}

/** The places that the settings name. */
export function anchorSinks(config: Readonly<Config>, kafka: Kafka = anchorKafka(config)): AnchorSink[] {
  const topics = anchorTopics(config).map((topic) => new AnchorTopic(kafka, topic));
  const files = config.anchorFile === '' ? [] : [new AnchorFile(config.anchorFile)];
  return [...topics, ...files];
}

/** The places to read anchors from: the file that an option names, else those of the settings. */
export function anchorPlaces(config: Readonly<Config>, file: string | undefined): AnchorPlace[] {
  return file === undefined ? anchorSinks(config) : [new AnchorFile(file, { mustExist: true })];
}

/** The error for a command about anchors where no place is known. */
export function noAnchorPlace(): TollbookError {
  return new TollbookError(
    'USAGE_INVALID',
    'no place of anchors is known; set TOLLBOOK_ANCHOR_TOPIC or TOLLBOOK_ANCHOR_FILE, or name a file with --anchors-file',
  );
}

/** Parses the path of a file. */
export function filePath(text: string): string {
  if (text !== '' && !text.includes('\0')) return text;
  throw new InvalidArgumentError('allowed: the path of a file');
}

function anchorKafka({ kafkaBrokers }: Readonly<Config>): Kafka {
  return createKafka({ brokers: kafkaBrokers.split(','), clientId: 'tollbook-anchors' });
}

/** Starts the publisher of a process where the settings ask for one; returns how to stop it. */
export function startAnchorPublisher(
  config: Readonly<Config>,
  { pool, kafka, logger }: { readonly pool: pg.Pool; readonly kafka: Kafka; readonly logger: Logger },
): () => Promise<void> {
  const sinks = anchorSinks(config, kafka);
  if (sinks.length === 0) return () => Promise.resolve();
  const rows = rowsThrough(pool);
  const publisher = new AnchorPublisher({
    sinks,
    rows,
    clock: systemClock,
    logger,
    intervalMs: config.anchorIntervalMs,
  });
  publisher.start();
  return () => publisher.stop();
}
