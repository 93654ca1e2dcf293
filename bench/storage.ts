/** Owns: what a drained ledger takes on disk, by what it is for. */
import pg from 'pg';
import type { Config } from '../src/runtime/config.js';

/** Bytes for one entry: the rows of the ledger, their indexes, and all other tables together with theirs. */
export interface StorageFigures {
  readonly entries: number;
  readonly rowBytes: number;
  readonly indexBytes: number;
  readonly otherBytes: number;
}

const SQL = `SELECT (SELECT count(*) FROM ledger_entries) AS entries,
  pg_table_size('ledger_entries') AS rows, pg_indexes_size('ledger_entries') AS indexes,
  (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> 'ledger_entries') AS others`;

interface Row {
  readonly entries: string;
  readonly rows: string;
  readonly indexes: string;
  readonly others: string;
}

/** Reads the sizes as PostgreSQL tells them. */
export async function storageOf(config: Readonly<Config>): Promise<StorageFigures> {
  const client = new pg.Client({ connectionString: config.databaseOwnerUrl });
  await client.connect();
  try {
    const { rows } = await client.query<Row>(SQL);
    const [row] = rows;
    const entries = Number(row?.entries ?? 0);
    const each = (bytes: string | undefined): number => Math.round(Number(bytes ?? 0) / Math.max(1, entries));
    return {
      entries,
      rowBytes: each(row?.rows),
      indexBytes: each(row?.indexes),
      otherBytes: each(row?.others),
    };
  } finally {
    await client.end();
  }
}
