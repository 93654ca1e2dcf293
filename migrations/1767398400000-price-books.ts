/**
 * Owns: the tables of price books, and the index by which parked usage is listed oldest first.
 * Does not own: what a price book means (src/ledger/price-book.ts), nor the table of parked usage (the first migration).
 * Invariants: append-only, twice, as the ledger is: an entry pins the version that priced it for ever.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const PRICE_BOOKS = `
CREATE TABLE price_book_versions (
  book text COLLATE "C" NOT NULL CHECK (book ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  version integer NOT NULL CHECK (version > 0),
  follows integer GENERATED ALWAYS AS (nullif(version - 1, 0)) STORED,
  effective_from timestamptz(3) NOT NULL,
  currency text NOT NULL,
  models integer NOT NULL CHECK (models > 0),
  source_digest bytea NOT NULL CHECK (octet_length(source_digest) = 32),
  actor text NOT NULL,
  imported_at timestamptz(3) NOT NULL,
  PRIMARY KEY (book, version),
  CONSTRAINT price_book_versions_gapless FOREIGN KEY (book, follows) REFERENCES price_book_versions (book, version),
  CONSTRAINT price_book_versions_not_retroactive CHECK (version = 1 OR effective_from >= imported_at)
);
COMMENT ON TABLE price_book_versions IS 'Imported price lists. An event without prices is priced by the latest version of the configured book that is in effect at its occurred_at. Few rows, the same for every tenant: a reference table where the schema is distributed.';
COMMENT ON COLUMN price_book_versions.book IS 'Name of the book.';
COMMENT ON COLUMN price_book_versions.version IS 'Gapless per book, from 1. Entries name it as BOOK@VERSION in price_version.';
COMMENT ON COLUMN price_book_versions.follows IS 'The version before this one; a foreign key, so that no version can be missing.';
COMMENT ON COLUMN price_book_versions.currency IS 'Currency of every price; the same for every version of a book.';
COMMENT ON COLUMN price_book_versions.effective_from IS 'In force from then until a later version is; no earlier than imported_at, but for the first version of a book.';
COMMENT ON COLUMN price_book_versions.models IS 'Models of the imported list that have prices.';
COMMENT ON COLUMN price_book_versions.source_digest IS 'SHA-256 of the imported file.';
COMMENT ON COLUMN price_book_versions.imported_at IS 'When it was imported, by the clock of the importer.';

CREATE TABLE price_book_prices (
  book text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  provider text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  input_per_1k numeric CHECK (input_per_1k >= 0),
  output_per_1k numeric CHECK (output_per_1k >= 0),
  meters jsonb NOT NULL CHECK (jsonb_typeof(meters) = 'object'),
  PRIMARY KEY (book, version, provider, model),
  FOREIGN KEY (book, version) REFERENCES price_book_versions (book, version)
);
COMMENT ON TABLE price_book_prices IS 'The prices of a version, by provider and model as events name them; a model may stand under two names (tollbook prices import --help says which).';
COMMENT ON COLUMN price_book_prices.book IS 'Name of the book.';
COMMENT ON COLUMN price_book_prices.version IS 'Version of the book these prices belong to.';
COMMENT ON COLUMN price_book_prices.input_per_1k IS 'Price per 1,000 input tokens with every digit of the list; null when it is not known.';
COMMENT ON COLUMN price_book_prices.output_per_1k IS 'Price per 1,000 output tokens with every digit of the list; null when it is not known.';
COMMENT ON COLUMN price_book_prices.meters IS 'Further meters: name to price per 1,000 as a decimal string.';
`;

const PARKED_BY_AGE = `
CREATE INDEX unpriced_usage_recorded_at ON unpriced_usage (recorded_at, tenant_id, trace_id);
COMMENT ON INDEX unpriced_usage_recorded_at IS 'Serves: the list of parked usage, oldest first, page by page.';
`;

const APPEND_ONLY = `
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_book_versions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_book_prices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON price_book_versions, price_book_prices TO tollbook_app;
`;

/** Entries may name any of these versions: none of them goes away. */
const REFUSE_IN_USE = `
LOCK TABLE price_book_versions IN ACCESS EXCLUSIVE MODE;
DO $$
BEGIN
  IF EXISTS (SELECT FROM price_book_versions) THEN
    RAISE EXCEPTION 'price books have been imported: no migration drops them' USING ERRCODE = 'restrict_violation';
  END IF;
END $$;
`;

/** Creates the price books. Taking it back is refused once one has been imported. */
export class PriceBooks1767398400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [PRICE_BOOKS, PARKED_BY_AGE, APPEND_ONLY]) await runner.query(part);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSE_IN_USE);
    await runner.query(`
      DROP TABLE price_book_prices, price_book_versions;
      DROP INDEX unpriced_usage_recorded_at;
    `);
  }
}
