/**
 * Owns: `tollbook cursors list | accept-gap`: showing how far each source is charged and from which log, and accepting a
 * loss. `accept-log` is accept-log-command.ts.
 * Does not own: finding the loss (consumers/stream-positions.ts).
 */
import { registerAcceptLogCommand } from './accept-log-command.js';
import { plainTable } from './plain-table.js';
import type { Command } from 'commander';
import { PostgresLedgerReader } from '../ledger/postgres/postgres-ledger-reader.js';
import { acceptGap } from '../ledger/postgres/stream-gaps.js';
import { loadConfig } from '../runtime/config.js';
import { createPostgresPool } from '../runtime/postgres.js';
import type pg from 'pg';
import type { StreamSource } from '../ledger/batch.js';
import { UNKNOWN_LOG } from '../ledger/charged-log.js';
import type { Cursor } from '../ledger/ledger-store.js';
import { offsetValue, plainText, wholeNumber } from './option-values.js';
import { printText } from './output.js';

const SHOWN_DIGITS = 16;

interface AcceptGapFlags {
  readonly topic: string;
  readonly partition: number;
  readonly to: bigint;
  readonly actor: string;
  readonly reason: string;
  readonly json?: boolean;
}

/** Adds `cursors` to the program. */
export function registerCursorsCommand(program: Command): void {
  const cursors = program.command('cursors').description('how far each stream is charged');
  cursors
    .command('list')
    .description('show position, sealed batches, chain head and charged log of every source')
    .option('--json', 'print the result as one JSON array')
    .action((flags: { json?: boolean }) => withPool((pool) => list(pool, flags.json === true)));
  cursors
    .command('accept-gap')
    .description('accept that Kafka lost messages before they were charged, and go on after them')
    .requiredOption('--topic <topic>', 'topic')
    .requiredOption('--partition <n>', 'partition', wholeNumber(0, 1_000_000))
    .requiredOption('--to <offset>', 'the first offset Kafka still has', offsetValue)
    .requiredOption('--actor <who>', 'who accepts the loss', plainText)
    .requiredOption('--reason <text>', 'why', plainText)
    .option('--json', 'print the result as one JSON object')
    .action((flags: AcceptGapFlags) => withPool((pool) => accept(pool, flags)));
  registerAcceptLogCommand(cursors, withPool);
}

async function withPool(work: (pool: pg.Pool) => Promise<void>): Promise<void> {
  const config = loadConfig();
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-cursors',
    connectionsMax: 1,
  });
  try {
    await work(pool);
  } finally {
    await pool.end();
  }
}

async function list(pool: pg.Pool, json: boolean): Promise<void> {
  const cursors = (await new PostgresLedgerReader(pool).readCursors()).map(documentOf);
  if (json) {
    printText(`${JSON.stringify(cursors)}\n`);
    return;
  }
  const table = plainTable(['topic', 'partition', 'next offset', 'batches', 'chain head', 'topic id', 'last message']);
  for (const { topic, partition, nextOffset, batches, head, topicId, lastMessage } of cursors) {
    const last = lastMessage === null ? '-' : `${lastMessage.offset} ${shortened(lastMessage.digest)}`;
    table.push([topic, partition, nextOffset, batches, shortened(head), shortened(topicId ?? '-'), last]);
  }
  printText(`${table.toString()}\n`);
}

/** Enough of a hash for people to compare. */
function shortened(hex: string): string {
  return hex.length <= SHOWN_DIGITS ? hex : `${hex.slice(0, SHOWN_DIGITS)}…`;
}

interface CursorDocument extends StreamSource {
  readonly nextOffset: string;
  readonly batches: number;
  readonly head: string;
  /** Position less Kafka's offset: other than 0 once another log was accepted. */
  readonly base: string;
  readonly topicId: string | null;
  readonly lastMessage: { readonly offset: string; readonly digest: string } | null;
}

function documentOf({ source, nextOffset, batchNo, head, log = UNKNOWN_LOG }: Cursor): CursorDocument {
  const { base, topicId, lastRecord } = log;
  return {
    ...source,
    ...{ nextOffset: nextOffset.toString(), batches: batchNo, head: head.toString('hex') },
    ...{ base: base.toString(), topicId },
    lastMessage: lastRecord && {
      offset: lastRecord.position.toString(),
      digest: lastRecord.digest.toString('hex'),
    },
  };
}

async function accept(pool: pg.Pool, flags: AcceptGapFlags): Promise<void> {
  const { topic, partition, to, actor, reason } = flags;
  const from = await acceptGap(pool, { source: { topic, partition }, toOffset: to, actor, reason });
  printText(
    flags.json === true
      ? `${JSON.stringify({ topic, partition, from: from.toString(), to: to.toString() })}\n`
      : `accepted the loss of offsets ${from} to ${to - 1n} of ${topic}/${partition}; restart the consumers to go on\n`,
  );
}
