/**
 * Owns: reading the completions that are parked as unpriced: one of a trace, or page by page those that are still open.
 * Does not own: writing them (set-aside-writes.ts), nor pricing them (ledger/commands/price-usage.ts).
 * Invariants: a parked row never changes; it is open until its trace is COMMITTED or FAILED, which the ledger tells.
 */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { EntrySource } from '../entry.js';
import type { UsageCompleted } from '../events.js';
import type { TraceKey } from '../ledger-store.js';

/** Where a listing goes on: after the completion of this trace, which was parked then. */
export interface ParkedPosition extends TraceKey {
  readonly recordedAt: string;
}

/** A parked completion that waits to be priced. */
export interface OpenParked extends ParkedPosition {
  readonly event: UsageCompleted;
  /** The meters used without a price. */
  readonly meters: readonly string[];
  readonly source: EntrySource;
}

/** Which parked completions; what is absent does not filter. */
export interface ParkedFilter {
  readonly tenantId?: string;
  readonly model?: string;
  /** Parked then or later. */
  readonly since?: string;
}

/** The completion of a trace that is parked, priced since or not. */
export async function selectParked(
  client: pg.ClientBase,
  { tenantId, traceId }: TraceKey,
): Promise<UsageCompleted | undefined> {
  const { rows } = await client.query<{ event: UsageCompleted }>(
    'SELECT event FROM unpriced_usage WHERE tenant_id = $1 AND trace_id = $2',
    [tenantId, traceId],
  );
  return rows[0]?.event;
}

interface ParkedRow {
  readonly tenant_id: string;
  readonly trace_id: string;
  readonly topic: string;
  readonly partition: number;
  readonly kafka_offset: string;
  readonly meters: string[];
  readonly event: UsageCompleted;
  readonly recorded_at: Date;
}

/** The condition, on `u`, that parked usage was neither charged nor refused since. */
export const OPEN_USAGE = `NOT EXISTS (SELECT FROM ledger_entries e
  WHERE e.tenant_id = u.tenant_id AND e.trace_id = u.trace_id AND e.status IN ('COMMITTED', 'FAILED'))`;

/** When the oldest usage was used that is open, in ISO 8601; undefined when there is none. Throws POSTGRES_*. */
export async function firstParkedAt(pool: pg.Pool): Promise<string | undefined> {
  try {
    const { rows } = await pool.query<{ first: string | null }>(
      `SELECT min(u.event ->> 'occurredAt') AS first FROM unpriced_usage u WHERE ${OPEN_USAGE}`,
    );
    return rows[0]?.first ?? undefined;
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** A model that open usage names: how often, since when (ISO 8601 UTC), and which meters have no price. */
export interface ParkedModel {
  readonly provider: string;
  readonly model: string;
  readonly traces: number;
  readonly since: string;
  readonly missing: readonly string[];
}

/** The models of the open ones, the most frequent first. Throws POSTGRES_*. */
export async function readParkedModels(pool: pg.Pool): Promise<ParkedModel[]> {
  try {
    const { rows } = await pool.query<Omit<ParkedModel, 'traces' | 'since'> & { traces: string; since: Date }>(
      `SELECT u.event ->> 'provider' AS provider, u.event ->> 'model' AS model, count(*) AS traces,
         min(u.recorded_at) AS since,
         (SELECT array_agg(DISTINCT meter ORDER BY meter) FROM unnest(array_agg(array_to_string(u.meters, ','))) AS t(list),
            unnest(string_to_array(list, ',')) AS meter) AS missing
       FROM unpriced_usage u WHERE ${OPEN_USAGE} GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2`,
    );
    return rows.map(({ traces, since, ...row }) => ({ ...row, traces: Number(traces), since: since.toISOString() }));
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** A page of the open ones, oldest first. Throws POSTGRES_*. */
export async function pageParked(
  pool: pg.Pool,
  filter: ParkedFilter,
  { after, limit }: { readonly after?: ParkedPosition | undefined; readonly limit: number },
): Promise<OpenParked[]> {
  const values: unknown[] = [limit];
  const conditions = conditionsOf(filter, after, (value) => `$${values.push(value)}`);
  try {
    const { rows } = await pool.query<ParkedRow>(
      `SELECT u.tenant_id, u.trace_id, u.topic, u.partition, u.kafka_offset, u.meters, u.event, u.recorded_at
       FROM unpriced_usage u WHERE ${[OPEN_USAGE, ...conditions].join(' AND ')}
       ORDER BY u.recorded_at, u.tenant_id, u.trace_id LIMIT $1`,
      values,
    );
    return rows.map(parkedOf);
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** How many are open. Throws POSTGRES_*. */
export async function countParked(pool: pg.Pool, filter: ParkedFilter = {}): Promise<number> {
  const values: unknown[] = [];
  const conditions = conditionsOf(filter, undefined, (value) => `$${values.push(value)}`);
  try {
    const { rows } = await pool.query<{ count: number }>(
      `SELECT count(*)::integer AS count FROM unpriced_usage u WHERE ${[OPEN_USAGE, ...conditions].join(' AND ')}`,
      values,
    );
    return rows[0]?.count ?? 0;
  } catch (error) {
    throw translatePostgresError(error);
  }
}

function conditionsOf(
  { tenantId, model, since }: ParkedFilter,
  after: ParkedPosition | undefined,
  place: (value: string) => string,
): string[] {
  return [
    ...(tenantId === undefined ? [] : [`u.tenant_id = ${place(tenantId)}`]),
    ...(model === undefined ? [] : [`u.event ->> 'model' = ${place(model)}`]),
    ...(since === undefined ? [] : [`u.recorded_at >= ${place(since)}`]),
    ...(after === undefined
      ? []
      : [
          `(u.recorded_at, u.tenant_id, u.trace_id) > ` +
            `(${place(after.recordedAt)}::timestamptz, ${place(after.tenantId)}, ${place(after.traceId)})`,
        ]),
  ];
}

function parkedOf(row: ParkedRow): OpenParked {
  return {
    tenantId: row.tenant_id,
    traceId: row.trace_id,
    event: row.event,
    meters: row.meters,
    source: { topic: row.topic, partition: row.partition, kafkaOffset: BigInt(row.kafka_offset) },
    recordedAt: row.recorded_at.toISOString(),
  };
}
