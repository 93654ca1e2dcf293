/**
 * Owns: price books in PostgreSQL: reading what is in force, listing, and adding a version.
 * Does not own: what a price book means (price-book.ts), nor which version may be added (src/prices).
 * Invariants: a version and its prices are one statement; of two importers that add the same version, one gets
 * POSTGRES_CONFLICT and has written nothing; prices travel as decimal text.
 */
import type pg from 'pg';
import { TollbookError } from '../../runtime/errors.js';
import { translatePostgresError } from '../../runtime/postgres.js';
import {
  modelKey,
  type ModelPrices,
  type PricedVersion,
  type PriceBookVersion,
  type PriceSpan,
} from '../price-book.js';
import type { PriceRow, WeekHours } from '../price-row.js';
import { arrayLiteral } from './array-literal.js';

/** A version as it was imported. */
export interface ImportedVersion extends PriceBookVersion {
  readonly models: number;
  /** SHA-256 of the imported file. */
  readonly digest: Buffer;
  readonly actor: string;
  readonly importedAt: string;
}

/** Which prices of a version to read. */
export interface PriceFilter {
  readonly provider?: string;
  readonly model?: string;
}

type Connection = pg.Pool | pg.ClientBase;

interface VersionRow {
  readonly book: string;
  readonly version: number;
  readonly effective_from: Date;
  readonly currency: string;
  readonly models: number;
  readonly source_digest: Buffer;
  readonly actor: string;
  readonly imported_at: Date;
  readonly dated_providers: readonly string[];
}

interface StoredRow {
  readonly provider: string;
  readonly model: string;
  readonly price_class: string;
  /** As text: a bigint of PostgreSQL. */
  readonly context_above: string;
  readonly context_up_to: string | null;
  readonly hours: readonly WeekHours[] | null;
  readonly input_per_1k: string | null;
  readonly output_per_1k: string | null;
  readonly meters: Readonly<Record<string, string>>;
  readonly alias_of: string | null;
}

const VERSION_SELECT =
  'book, version, effective_from, currency, models, source_digest, actor, imported_at, dated_providers';
const PRICE_SELECT = `p.provider, p.model, p.price_class, p.context_above::text, p.context_up_to::text, p.hours,
  p.input_per_1k::text, p.output_per_1k::text, p.meters, p.alias_of`;

/** The versions of a book, or of every book, newest first. Throws POSTGRES_*. */
export async function readVersions(connection: Connection, book?: string): Promise<ImportedVersion[]> {
  const found = await rows<VersionRow>(
    connection,
    `SELECT ${VERSION_SELECT} FROM price_book_versions WHERE book = coalesce($1, book) ORDER BY book, version DESC`,
    [book ?? null],
  );
  return found.map(versionOf);
}

/** The latest version of a book; undefined when it was never imported. Throws POSTGRES_*. */
export async function readLatestVersion(connection: Connection, book: string): Promise<ImportedVersion | undefined> {
  const [latest] = await rows<VersionRow>(
    connection,
    `SELECT ${VERSION_SELECT} FROM price_book_versions WHERE book = $1 ORDER BY version DESC LIMIT 1`,
    [book],
  );
  return latest === undefined ? undefined : versionOf(latest);
}

/**
 * Fails unless a book has been imported; `named` says where its name was given. Throws PRICE_BOOK_UNKNOWN, POSTGRES_*.
 */
export async function assertPriceBook(connection: Connection, book: string, named: string): Promise<void> {
  if ((await readLatestVersion(connection, book)) === undefined) throw unknownPriceBook(book, named);
}

/** The error for a book that has never been imported. */
export function unknownPriceBook(book: string, named: string): TollbookError {
  return new TollbookError(
    'PRICE_BOOK_UNKNOWN',
    `${named} is ${book}, a price book that has never been imported; ` +
      `import it with: tollbook prices import FILE --book ${book} --actor …`,
    { context: { book } },
  );
}

/** The prices of a version, by provider and model. Throws POSTGRES_*. */
export async function readPrices(
  connection: Connection,
  { book, version }: PriceBookVersion,
  { provider, model }: PriceFilter = {},
): Promise<ModelPrices[]> {
  const found = await rows<StoredRow>(
    connection,
    `SELECT ${PRICE_SELECT} FROM price_book_prices p
     WHERE p.book = $1 AND p.version = $2 AND p.provider = coalesce($3, p.provider) AND p.model = coalesce($4, p.model)
     ORDER BY p.provider, p.model, p."row"`,
    [book, version, provider ?? null, model ?? null],
  );
  return modelsOf(found);
}

/**
 * The versions of a book that are in force somewhere in a span, with the prices of its models, in one snapshot: nearly
 * always one version, and as many prices as the chunk names models. Throws POSTGRES_*.
 */
export async function readPricedVersions(
  connection: Connection,
  book: string,
  { models, from, to }: PriceSpan,
): Promise<PricedVersion[]> {
  const found = await rows<VersionRow & { readonly prices: readonly StoredRow[] | null }>(
    connection,
    `SELECT ${VERSION_SELECT}, (
       SELECT json_agg(json_build_object('provider', p.provider, 'model', p.model, 'price_class', p.price_class,
         'context_above', p.context_above::text, 'context_up_to', p.context_up_to::text, 'hours', p.hours,
         'input_per_1k', p.input_per_1k::text, 'output_per_1k', p.output_per_1k::text, 'meters', p.meters, 'alias_of', p.alias_of)
         ORDER BY p.provider, p.model, p."row")
       FROM unnest($4::text[], $5::text[]) AS wanted(provider, model)
       JOIN price_book_prices p ON p.book = v.book AND p.version = v.version
         AND p.provider = wanted.provider COLLATE "C" AND p.model = wanted.model COLLATE "C") AS prices
     FROM price_book_versions v
     WHERE v.book = $1 AND v.effective_from <= $3 AND v.version >= coalesce(
       (SELECT max(w.version) FROM price_book_versions w WHERE w.book = $1 AND w.effective_from <= $2), 1)`,
    [
      ...[book, from, to],
      arrayLiteral(models.map(({ provider }) => provider)),
      arrayLiteral(models.map(({ model }) => model)),
    ],
  );
  return found.map((row) => ({
    ...versionOf(row),
    prices: new Map(modelsOf(row.prices ?? []).map((model) => [modelKey(model), model])),
  }));
}

/** Adds a version with its prices. Atomic. Throws POSTGRES_CONFLICT when the version exists already, POSTGRES_*. */
export async function insertVersion(
  connection: Connection,
  version: ImportedVersion,
  prices: readonly ModelPrices[],
): Promise<void> {
  await rows(
    connection,
    `WITH imported AS (
       INSERT INTO price_book_versions (${VERSION_SELECT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING book, version)
     INSERT INTO price_book_prices (book, version, provider, model, "row", price_class, context_above, context_up_to, hours,
       input_per_1k, output_per_1k, meters, alias_of)
     SELECT i.book, i.version, p.*
     FROM imported i CROSS JOIN unnest($10::text[], $11::text[], $12::smallint[], $13::text[], $14::bigint[], $15::bigint[],
       $16::jsonb[], $17::numeric[], $18::numeric[], $19::jsonb[], $20::text[]) AS p`,
    [
      ...[version.book, version.version, version.effectiveFrom, version.currency, version.models],
      ...[version.digest, version.actor, version.importedAt, arrayLiteral(version.datedProviders ?? [])],
      ...columnsOf(prices),
    ],
  );
}

/** The rows of all models as one array a column, in the order of the insert. */
function columnsOf(prices: readonly ModelPrices[]): string[] {
  const all = prices.flatMap(({ provider, model, rows: own, aliasOf = null }) =>
    own.map((row, index) => ({ provider, model, index, row, aliasOf })),
  );
  return [
    all.map(({ provider }) => provider),
    all.map(({ model }) => model),
    all.map(({ index }) => String(index)),
    all.map(({ row }) => row.priceClass),
    all.map(({ row }) => String(row.contextAbove)),
    all.map(({ row }) => (row.contextUpTo === null ? null : String(row.contextUpTo))),
    all.map(({ row }) => (row.hours === null ? null : JSON.stringify(row.hours))),
    all.map(({ row }) => row.inputPer1k ?? null),
    all.map(({ row }) => row.outputPer1k ?? null),
    all.map(({ row }) => JSON.stringify(Object.fromEntries(row.meters))),
    all.map(({ aliasOf }) => aliasOf),
  ].map(arrayLiteral);
}

function versionOf(row: VersionRow): ImportedVersion {
  return {
    book: row.book,
    version: row.version,
    effectiveFrom: row.effective_from.toISOString(),
    currency: row.currency,
    models: row.models,
    digest: row.source_digest,
    actor: row.actor,
    importedAt: row.imported_at.toISOString(),
    datedProviders: row.dated_providers,
  };
}

/** The models of rows that are ordered by model. */
function modelsOf(stored: readonly StoredRow[]): ModelPrices[] {
  const models = new Map<string, ModelPrices & { readonly rows: PriceRow[] }>();
  for (const each of stored) {
    const key = modelKey(each);
    const { provider, model, alias_of: aliasOf } = each;
    const known = models.get(key) ?? { provider, model, rows: [], ...(aliasOf === null ? {} : { aliasOf }) };
    known.rows.push(rowOf(each));
    models.set(key, known);
  }
  return [...models.values()];
}

function rowOf({ input_per_1k: inputPer1k, output_per_1k: outputPer1k, ...stored }: StoredRow): PriceRow {
  return {
    priceClass: stored.price_class,
    contextAbove: Number(stored.context_above),
    contextUpTo: stored.context_up_to === null ? null : Number(stored.context_up_to),
    hours: stored.hours,
    ...(inputPer1k === null ? {} : { inputPer1k }),
    ...(outputPer1k === null ? {} : { outputPer1k }),
    meters: new Map(Object.entries(stored.meters)),
  };
}

async function rows<R extends pg.QueryResultRow>(connection: Connection, sql: string, values: unknown[]): Promise<R[]> {
  try {
    return (await connection.query<R>(sql, values)).rows;
  } catch (error) {
    throw translatePostgresError(error);
  }
}
