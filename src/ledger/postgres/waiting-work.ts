/** Owns: what waits for an operator in the ledger: open dead letters by reason, usage without a price by what lacks one, open holds. */
import type pg from 'pg';
import { translatePostgresError } from '../../runtime/postgres.js';
import { OPEN_USAGE } from './parked-usage.js';

/** What waits; times in RFC 3339. */
export interface Waiting {
  readonly dead_letters: readonly { readonly reason: string; readonly count: number; readonly oldest: string }[];
  readonly unpriced: {
    readonly count: number;
    readonly oldest: string | null;
    /** By the meters without a price, the most first. */
    readonly by_meters: readonly UnpricedGroup[];
  };
  readonly open_holds: number;
}

/** Usage that waits for the same prices. */
export interface UnpricedGroup {
  readonly meters: readonly string[];
  readonly count: number;
  readonly oldest: string;
}

const INSTANT = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Reads what waits. Cost: grows with what waits, not with history. Throws POSTGRES_*. */
export async function readWaiting(pool: pg.Pool): Promise<Waiting> {
  try {
    const letters = await pool.query<Waiting['dead_letters'][number]>(
      `SELECT reason, count(*)::integer AS count, ${INSTANT('min(recorded_at)')} AS oldest
       FROM dead_letters WHERE redrive_state = 'open' GROUP BY reason ORDER BY 2 DESC, 1`,
    );
    const unpriced = await pool.query<UnpricedGroup>(
      `SELECT u.meters, count(*)::integer AS count, ${INSTANT('min(u.recorded_at)')} AS oldest
       FROM unpriced_usage u WHERE ${OPEN_USAGE} GROUP BY u.meters ORDER BY 2 DESC, 1`,
    );
    const holds = await pool.query<{ count: number }>('SELECT count(*)::integer AS count FROM open_holds');
    return {
      dead_letters: letters.rows,
      unpriced: {
        count: unpriced.rows.reduce((sum, { count }) => sum + count, 0),
        oldest: unpriced.rows.map(({ oldest }) => oldest).sort()[0] ?? null,
        by_meters: unpriced.rows,
      },
      open_holds: holds.rows[0]?.count ?? 0,
    };
  } catch (error) {
    throw translatePostgresError(error);
  }
}
