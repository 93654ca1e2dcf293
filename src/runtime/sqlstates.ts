/**
 * Owns: what each answer of PostgreSQL means for the work that got it.
 * Does not own: the errors made of it (postgres.ts), what is done about them (errors.ts tells the disposition).
 * Invariants: a message is blamed only for what its own data cause; what is not listed is a condition of the server, which
 * passes until proved otherwise: a failover, a migration under way, a password that is being changed.
 * Source: PostgreSQL manual, Appendix A, "PostgreSQL Error Codes".
 */
import type { ErrorCode } from './errors.js';

/** The work lost against other work: repeated from fresh state. */
const CONFLICTS = [
  '40', // serialization failure, deadlock
  '23505', // the unique key was written meanwhile
  '57014', // cancelled: the statement took too long
];

/** A row stays locked by somebody else. */
const LOCKS = ['55P03', '55006'];

/** The data of the statement cannot be stored: repeating it changes nothing. */
const REJECTIONS = [
  '21', // two rows where one is allowed
  '22', // out of range, a text that is not UTF-8 or holds a zero byte, malformed values
  '23', // a check, a missing value, a reference to nothing
  '54', // too long for an index, too complex
];

/** Nobody can write now, or nobody can connect. */
const OUTAGES = [
  '08', // the connection broke
  '25006', // read-only: the server is a standby, or fails over
  '25P03', // cut: idle in its transaction for too long
  '25P04', // cut: its transaction took too long
  '28', // the login is refused: perhaps the password is being changed
  '3D', // no such database: perhaps it is being restored
  '53', // out of disk, memory or connections
  '57', // stopping, starting, or an administrator cut the connection
];

/** The tables are not those that the statement was written for: perhaps a migration is under way. */
const SCHEMA_DIFFERENCES = [
  '3F', // no such schema
  '42703', // column
  '42704', // type or other object
  '42804', // another type
  '42883', // no such function, or not for these types
  '42P01', // table
  '42P10', // no such unique key
];

/** In class 22 and 23, but of the session or of the code: a role that does not exist, a trigger that guards a table. */
const NOT_OF_THE_DATA = ['22023', '23001'];

const CODES = new Map<string, ErrorCode>([
  ...CONFLICTS.map((state) => [state, 'POSTGRES_CONFLICT'] as const),
  ...LOCKS.map((state) => [state, 'POSTGRES_LOCKED'] as const),
  ...REJECTIONS.map((state) => [state, 'POSTGRES_REJECTED'] as const),
  ...OUTAGES.map((state) => [state, 'POSTGRES_UNAVAILABLE'] as const),
  ...SCHEMA_DIFFERENCES.map((state) => [state, 'SCHEMA_OUT_OF_DATE'] as const),
  ...NOT_OF_THE_DATA.map((state) => [state, 'POSTGRES_FAILED'] as const),
]);

/** After these a connection is as good as before. */
const HARMLESS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'POSTGRES_CONFLICT',
  'POSTGRES_LOCKED',
  'POSTGRES_REJECTED',
]);

const OF_POSTGRES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...HARMLESS,
  'POSTGRES_UNAVAILABLE',
  'POSTGRES_FAILED',
  'SCHEMA_OUT_OF_DATE',
]);

/** Our code of an SQLSTATE; looked up whole, then by its class of two characters. */
export function codeOfSqlState(sqlState: string): ErrorCode {
  return CODES.get(sqlState) ?? CODES.get(sqlState.slice(0, 2)) ?? 'POSTGRES_FAILED';
}

/**
 * Whether a connection on which work ended with this code may be used again. After a failover, a change of the schema or of
 * rights it may lead to the wrong server, or keep statements and plans that are of the past.
 */
export function keepsConnection(code: ErrorCode): boolean {
  return HARMLESS.has(code) || !OF_POSTGRES.has(code);
}
