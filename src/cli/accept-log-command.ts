/**
 * Owns: `tollbook cursors accept-log`: going on with another log in the place of the one that was charged.
 * Does not own: finding out that it is another (consumers/log-identity.ts), the record (ledger/postgres/accepted-logs.ts).
 * Invariants: a log that nothing tells from the charged one is not accepted.
 */
import type { Command } from 'commander';
import type pg from 'pg';
import { StreamPositions } from '../consumers/stream-positions.js';
import type { StreamSource } from '../ledger/batch.js';
import { acceptLog, type AcceptedLog, type LogAcceptance } from '../ledger/postgres/accepted-logs.js';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { isTollbookError, TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import { connectAdmin } from './ledger-process.js';
import { KafkaLogReader } from './log-identity.js';
import { plainText, wholeNumber } from './option-values.js';
import { printText } from './output.js';

interface AcceptLogFlags {
  readonly topic: string;
  readonly partition: number;
  readonly actor: string;
  readonly reason: string;
  readonly json?: boolean;
}

/** Adds `accept-log` to the cursors. */
export function registerAcceptLogCommand(
  cursors: Command,
  withPool: (work: (pool: pg.Pool) => Promise<void>) => Promise<void>,
): void {
  cursors
    .command('accept-log')
    .description('go on with a log that took the place of the charged one, from its first offset')
    .requiredOption('--topic <topic>', 'topic')
    .requiredOption('--partition <n>', 'partition', wholeNumber(0, 1_000_000))
    .requiredOption('--actor <who>', 'who accepts it', plainText)
    .requiredOption('--reason <text>', 'why', plainText)
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nWhat the old log held beyond the cursor is not in the new one, unless it was published again.\n' +
        'What is in the new one and was charged before counts as a duplicate.',
    )
    .action((flags: AcceptLogFlags) => withPool((pool) => accept(pool, flags)));
}

/** What Kafka has in the place of the charged log. */
interface FoundLog {
  readonly clusterId: string;
  readonly logStart: bigint;
  readonly topicId: string | null;
}

/** Goes on with the log that Kafka has. Throws USAGE_INVALID when it is the charged one, KAFKA_UNAVAILABLE, POSTGRES_*. */
export async function acceptFoundLog(
  config: Readonly<Config>,
  pool: pg.Pool,
  { source, actor, reason }: Pick<LogAcceptance, 'source' | 'actor' | 'reason'>,
): Promise<FoundLog & AcceptedLog> {
  const found = await findLog(config, pool, source);
  return { ...found, ...(await acceptLog(pool, { source, ...found, actor, reason })) };
}

async function accept(pool: pg.Pool, { topic, partition, actor, reason, json }: AcceptLogFlags): Promise<void> {
  const accepted = await acceptFoundLog(loadConfig(), pool, { source: { topic, partition }, actor, reason });
  const { fromPosition, base, logStart, topicId } = accepted;
  const document = { topic, partition, from: fromPosition.toString(), logStart: logStart.toString(), topicId };
  printText(
    json === true
      ? `${JSON.stringify({ ...document, base: base.toString() })}\n`
      : `${topic}/${partition} goes on with the log that starts at offset ${logStart}: ` +
          `position ${fromPosition} of the ledger is offset ${logStart}; running consumers go on within 10 s\n`,
  );
}

/** Throws USAGE_INVALID unless the log is another than the charged one. */
async function findLog({ kafkaBrokers }: Readonly<Config>, pool: pg.Pool, source: StreamSource): Promise<FoundLog> {
  const kafka = createKafka({ brokers: kafkaBrokers.split(','), clientId: 'tollbook-cursors' });
  const { admin, clusterId } = await connectAdmin(kafka, [source.topic]);
  try {
    const log = await KafkaLogReader.open(kafka, [source.topic]);
    try {
      const positions = new StreamPositions({ admin, cursors: new PostgresLedgerReader(pool), clusterId, log });
      await assertReplaced(positions, source);
      return { clusterId, logStart: await positions.logStart(source), topicId: await log.topicId(source) };
    } finally {
      await log.close();
    }
  } finally {
    await admin.disconnect();
  }
}

async function assertReplaced(positions: StreamPositions, source: StreamSource): Promise<void> {
  try {
    await positions.startOf(source);
  } catch (error) {
    if (isTollbookError(error, 'LOG_REPLACED') || isTollbookError(error, 'CURSOR_AHEAD_OF_LOG')) return;
    throw error;
  }
  const name = `${source.topic}/${source.partition}`;
  throw new TollbookError('USAGE_INVALID', `${name} is the log that was charged: there is none to accept in its place`);
}
