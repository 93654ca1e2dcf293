/**
 * Owns: noting that a check of everything is complete, so that `tollbook status` tells how old the latest one is.
 * Invariants: the result of a check never depends on its note: where that cannot be written, a line says so.
 */
import type pg from 'pg';
import { type LatestCheck, writeCheck } from '../process/process-reports.js';
import { isTollbookError } from '../runtime/errors.js';
import { printNote } from './output.js';

/** Notes a check that is complete now. Never rejects for a database that cannot be written. */
export async function noteCheck(pool: pg.Pool, check: Omit<LatestCheck, 'ageS'>): Promise<void> {
  try {
    await writeCheck(pool, check);
  } catch (error) {
    if (!isTollbookError(error)) throw error;
    printNote(`tollbook: the result stands, but "status" will not show it: ${error.code}: ${error.message}\n`);
  }
}
