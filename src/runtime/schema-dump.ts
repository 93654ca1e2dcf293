/**
 * Owns: the schema of a database as text, from the catalogs of PostgreSQL: what the migrations made, in a fixed order.
 * Does not own: the schema (migrations/). The text is for comparing and reading, it is not meant to be executed.
 * Invariants: the same schema gives the same text on every PostgreSQL from 16 on, whatever the database, its owner (who
 * reads `{owner}`) and its locale: rows are ordered here, by code point, and nothing depends on an oid.
 */
import pg from 'pg';
import { SCHEMA_QUERIES } from './schema-queries.js';
import { translatePostgresError } from './postgres.js';

/** Where the dump of this version is committed. */
export const SCHEMA_DUMP_FILE = 'migrations/schema.txt';

const HEADER = `The schema that the migrations make, as PostgreSQL describes it. Generated: do not edit.
After a new migration: tollbook migrate && tollbook schema dump --out ${SCHEMA_DUMP_FILE}
Rights of {owner}, who owns the tables, are not listed; everything else that anyone may do is.
`;

/** One line of the dump and where it stands; object, part and place order it, in this sequence. */
interface DumpRow {
  readonly object: string;
  readonly part: number;
  readonly place: string;
  readonly line: string;
}

/**
 * Describes the current schema of a database, connecting as the owner of its tables.
 * Reads one snapshot. Throws POSTGRES_UNAVAILABLE, POSTGRES_FAILED.
 */
export async function dumpSchema(ownerUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: ownerUrl, application_name: 'tollbook-schema-dump' });
  try {
    await client.connect();
    const sections = await readSections(client);
    return [HEADER, ...sections].join('\n');
  } catch (error) {
    throw translatePostgresError(error);
  } finally {
    await client.end();
  }
}

async function readSections(client: pg.Client): Promise<string[]> {
  const sections: string[] = [];
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  for (const queries of SCHEMA_QUERIES) {
    const rows: DumpRow[] = [];
    for (const query of queries) rows.push(...(await client.query<DumpRow>(query)).rows);
    sections.push(...describeObjects(rows));
  }
  await client.query('COMMIT');
  return sections;
}

/** Writes each object as a paragraph: its head, and its parts indented below. */
function describeObjects(rows: readonly DumpRow[]): string[] {
  const paragraphs = new Map<string, string>();
  for (const row of [...rows].sort(inOrder)) {
    const indented = row.line.replaceAll('\n', row.part === 0 ? '\n' : '\n    ');
    const line = row.part === 0 ? `${indented}\n` : `  ${indented}\n`;
    paragraphs.set(row.object, (paragraphs.get(row.object) ?? '') + line);
  }
  return [...paragraphs.values()];
}

function inOrder(left: DumpRow, right: DumpRow): number {
  return (
    byCodePoint(left.object, right.object) ||
    left.part - right.part ||
    byCodePoint(left.place, right.place) ||
    byCodePoint(left.line, right.line)
  );
}

function byCodePoint(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
