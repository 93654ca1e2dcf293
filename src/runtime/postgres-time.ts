/**
 * Owns: what time PostgreSQL says it is, and the clock of a process that is held against it.
 * Does not own: what a difference means (checked-clock.ts).
 */
import type pg from 'pg';
import { CheckedClock } from './checked-clock.js';
import { systemClock } from './clock.js';
import { translatePostgresError } from './postgres.js';

/** The clock of this machine, held against that of a database; compare once with `check`, or again and again with `watch`. */
export function clockBeside(pool: pg.Pool, skewMaxMs: number): CheckedClock {
  return new CheckedClock({
    local: systemClock,
    monotonicMs: () => performance.now(),
    readDatabaseMs: () => readDatabaseMs(pool),
    skewMaxMs,
  });
}

/** Milliseconds since the Unix epoch by the clock of the database. Throws POSTGRES_*. */
async function readDatabaseMs(pool: pg.Pool): Promise<number> {
  try {
    const { rows } = await pool.query<{ ms: string }>('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS ms');
    return Number(rows[0]?.ms);
  } catch (error) {
    throw translatePostgresError(error);
  }
}
