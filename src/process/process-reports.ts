/**
 * Owns: the rows in which running processes tell of themselves, and those of the latest checks.
 * Does not own: what they tell (readiness.ts), nor when.
 * Invariants: a process writes its own row alone; rows that nobody has written for an hour are removed by whoever writes next.
 */
import type pg from 'pg';
import { translatePostgresError } from '../runtime/postgres.js';

/** Which process it is. */
export interface ProcessIdentity {
  readonly instance: string;
  readonly kind: 'consume' | 'project';
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly startedAtMs: number;
}

/** What a process last told. */
export interface StoredReport extends Omit<ProcessIdentity, 'startedAtMs'> {
  readonly startedAt: string;
  /** How long ago it told it, in seconds, by the clock of the database. */
  readonly ageS: number;
  readonly report: unknown;
}

/** A kind of check. */
export type CheckKind = 'audit' | 'verify' | 'reconcile';

/** The latest check of a kind. */
export interface LatestCheck {
  readonly kind: CheckKind;
  readonly ageS: number;
  readonly findings: number;
  readonly scope: string;
}

const WRITE = `
WITH old AS (DELETE FROM process_reports WHERE reported_at < now() - interval '1 hour')
INSERT INTO process_reports (instance, kind, host, pid, version, started_at, reported_at, report)
VALUES ($1, $2, $3, $4, $5, to_timestamp($6::double precision / 1000), now(), $7)
ON CONFLICT (instance) DO UPDATE SET reported_at = excluded.reported_at, report = excluded.report`;

const READ = `
SELECT instance, kind, host, pid, version, to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "startedAt",
  extract(epoch FROM now() - reported_at)::double precision AS "ageS", report
FROM process_reports ORDER BY kind, host, pid`;

const WRITE_CHECK = `
INSERT INTO latest_checks (kind, finished_at, findings, scope) VALUES ($1, now(), $2, $3)
ON CONFLICT (kind) DO UPDATE SET finished_at = excluded.finished_at, findings = excluded.findings, scope = excluded.scope`;

const READ_CHECKS = `
SELECT kind, extract(epoch FROM now() - finished_at)::double precision AS "ageS", findings::double precision AS findings, scope
FROM latest_checks`;

/** Writes what a process tells now. Throws POSTGRES_*. */
export async function writeReport(pool: pg.Pool, process: ProcessIdentity, report: object): Promise<void> {
  const { instance, kind, host, pid, version, startedAtMs } = process;
  await run(pool, WRITE, [instance, kind, host, pid, version, startedAtMs, JSON.stringify(report)]);
}

/** Removes the row of a process that stops. Throws POSTGRES_*. */
export async function removeReport(pool: pg.Pool, instance: string): Promise<void> {
  await run(pool, 'DELETE FROM process_reports WHERE instance = $1', [instance]);
}

/** What all processes last told. Throws POSTGRES_*. */
export async function readReports(pool: pg.Pool): Promise<StoredReport[]> {
  return run<StoredReport>(pool, READ, []);
}

/** Notes that a check is complete. Throws POSTGRES_*. */
export async function writeCheck(pool: pg.Pool, { kind, findings, scope }: Omit<LatestCheck, 'ageS'>): Promise<void> {
  await run(pool, WRITE_CHECK, [kind, findings, scope]);
}

/** The latest check of each kind that was ever noted. Throws POSTGRES_*. */
export async function readLatestChecks(pool: pg.Pool): Promise<LatestCheck[]> {
  return run<LatestCheck>(pool, READ_CHECKS, []);
}

async function run<R extends pg.QueryResultRow>(pool: pg.Pool, sql: string, values: unknown[]): Promise<R[]> {
  try {
    return (await pool.query<R>(sql, values)).rows;
  } catch (error) {
    throw translatePostgresError(error);
  }
}
