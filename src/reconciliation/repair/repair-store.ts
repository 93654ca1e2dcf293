/**
 * Owns: the database transaction in which missing messages are repaired, the record of it, and the record of a run.
 * Does not own: what a message comes to.
 * Invariants: a message and the record that it was repaired are written together; a position is recorded once, for ever,
 * so that of two repairs of one message the second finds the first or fails with POSTGRES_CONFLICT.
 */
import type pg from 'pg';
import type { SealedBatch } from '../../ledger/batch.js';
import type { LetterPosition, RedriveOutcome } from '../../ledger/dead-letter.js';
import { letterName } from '../../ledger/dead-letter.js';
import type { LedgerTransaction } from '../../ledger/ledger-store.js';
import { arrayLiteral } from '../../ledger/postgres/array-literal.js';
import { inLedgerTransaction } from '../../ledger/postgres/database-transaction.js';
import { PostgresLedgerTransaction } from '../../ledger/postgres/postgres-ledger-store.js';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { ReconcileReport } from '../reconcile/report.js';

/** What a repaired message came to. */
export type RepairOutcome = RedriveOutcome | 'deadLetter';

/** The record of a repaired message. */
export interface RepairRecord extends LetterPosition {
  readonly outcome: RepairOutcome;
  readonly tenantId: string | null;
  readonly traceId: string | null;
  /** Its number in the repair stream. */
  readonly repairedAs: LetterPosition;
}

/** On whose word a repair happens. */
export interface RepairSigner {
  readonly runId: string;
  readonly actor: string;
  readonly reason: string;
}

/** The database transaction of a repair. */
export interface RepairTransaction {
  readonly ledger: LedgerTransaction;
  /** Those of the positions that have been repaired, by `letterName`. */
  repairedAmong(positions: readonly LetterPosition[]): Promise<ReadonlySet<string>>;
  record(records: readonly RepairRecord[], batch: SealedBatch, signer: RepairSigner): Promise<void>;
}

/** Repairs, on a pool of connections. */
export class PostgresRepairStore {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /**
   * Those of some tenants whose account counts other entries than there are: of an entry that was removed, the account
   * keeps the charge. Cost: an index-only scan of their entries. Throws POSTGRES_*.
   */
  async tenantsWithHoles(tenantIds: readonly string[]): Promise<ReadonlySet<string>> {
    try {
      const { rows } = await this.#pool.query<{ tenant_id: string }>(
        `SELECT a.tenant_id FROM accounts a WHERE a.tenant_id = ANY($1)
           AND a.seq <> (SELECT count(*) FROM ledger_entries e WHERE e.tenant_id = a.tenant_id)`,
        [arrayLiteral(tenantIds)],
      );
      return new Set(rows.map((row) => row.tenant_id));
    } catch (error) {
      throw translatePostgresError(error);
    }
  }

  /** Runs the work in one database transaction, kept unless it throws or `keeps` turns its result down. Throws POSTGRES_*. */
  transact<T>(work: (transaction: RepairTransaction) => Promise<T>, keeps: (result: T) => boolean): Promise<T> {
    return inLedgerTransaction(this.#pool, (client) => work(transactionOn(client, this.#pool)), keeps);
  }
}

function transactionOn(client: pg.PoolClient, pool: pg.Pool): RepairTransaction {
  return {
    ledger: new PostgresLedgerTransaction(client, pool),
    repairedAmong: async (positions): Promise<Set<string>> => {
      const { rows } = await client.query<{ topic: string; partition: number; kafka_offset: string }>(
        `SELECT r.topic, r.partition, r.kafka_offset FROM unnest($1::text[], $2::integer[], $3::bigint[])
           AS w(topic, partition, kafka_offset)
         JOIN repaired_messages r ON r.topic = w.topic COLLATE "C" AND r.partition = w.partition
           AND r.kafka_offset = w.kafka_offset`,
        positionArrays(positions),
      );
      return new Set(rows.map((row) => letterName({ ...row, kafkaOffset: BigInt(row.kafka_offset) })));
    },
    record: (records, batch, signer) => record(client, records, { batch, signer }),
  };
}

function positionArrays(positions: readonly LetterPosition[]): string[] {
  return [
    arrayLiteral(positions.map(({ topic }) => topic)),
    arrayLiteral(positions.map(({ partition }) => partition)),
    arrayLiteral(positions.map(({ kafkaOffset }) => kafkaOffset.toString())),
  ];
}

async function record(
  client: pg.ClientBase,
  records: readonly RepairRecord[],
  { batch, signer }: { readonly batch: SealedBatch; readonly signer: RepairSigner },
): Promise<void> {
  await client.query(
    `INSERT INTO repaired_messages (topic, partition, kafka_offset, outcome, tenant_id, trace_id, repair_topic,
       repair_partition, repair_offset, run_id, batch_id, actor, reason, repaired_at)
     SELECT r.*, $10, $11, $12, $13, $14
     FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::integer[],
       $9::bigint[]) AS r`,
    [
      ...positionArrays(records),
      arrayLiteral(records.map(({ outcome }) => outcome)),
      arrayLiteral(records.map(({ tenantId }) => tenantId)),
      arrayLiteral(records.map(({ traceId }) => traceId)),
      ...positionArrays(records.map(({ repairedAs }) => repairedAs)),
      ...[signer.runId, batch.batchId, signer.actor, signer.reason, batch.sealedAt],
    ],
  );
}

/** Records a signed run. Throws POSTGRES_*. */
export async function recordRun(
  pool: pg.Pool,
  report: ReconcileReport,
  {
    kind,
    actor,
    reason,
  }: { readonly kind: 'reconcile' | 'repair'; readonly actor: string; readonly reason: string | null },
): Promise<void> {
  const { runId, startedAt, finishedAt, cluster, ranges, counts, findings, digests, reportDigest } = report;
  try {
    await pool.query(
      `INSERT INTO reconciliation_runs (run_id, kind, actor, reason, started_at, finished_at, cluster_id, ranges, counts,
         findings, expected_digest, actual_digest, report_digest)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
      [
        ...[runId, kind, actor, reason, startedAt, finishedAt, cluster, JSON.stringify(ranges), JSON.stringify(counts)],
        JSON.stringify(findings.byKind),
        ...[digests.expected, digests.actual, reportDigest].map((digest) => Buffer.from(digest, 'hex')),
      ],
    );
  } catch (error) {
    throw translatePostgresError(error);
  }
}
