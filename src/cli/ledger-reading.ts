/** Owns: what the reading commands share: the connection, and the one word for a tenant that has no account. */
import type { LedgerQueries } from '../ledger/ledger-queries.js';
import { PostgresLedgerQueries } from '../ledger/postgres/postgres-ledger-queries.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';

/** Runs a reading command with its connection and the settings. Throws CONFIG_INVALID, POSTGRES_*, and what it throws. */
export async function withLedgerQueries<T>(
  name: string,
  read: (queries: LedgerQueries, config: Readonly<Config>) => Promise<T>,
): Promise<T> {
  const config = loadConfig();
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: `tollbook-${name}`,
    connectionsMax: 1,
  });
  try {
    return await read(new PostgresLedgerQueries(pool), config);
  } finally {
    await pool.end();
  }
}

/** The error for a tenant that has no account. */
export function unknownAccount(tenantId: string): TollbookError {
  return new TollbookError('ACCOUNT_UNKNOWN', `tenant ${tenantId} has no account`, { context: { tenantId } });
}
