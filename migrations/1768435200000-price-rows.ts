/**
 * Owns: the conditions under which a price of a book holds: its class, the length of the input, hours of the week.
 * Does not own: which row prices a request (src/ledger/price-row.ts).
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const ROWS = `
ALTER TABLE price_book_prices
  ADD COLUMN "row" smallint NOT NULL DEFAULT 0 CHECK ("row" >= 0),
  ADD COLUMN price_class text COLLATE "C" NOT NULL DEFAULT 'standard',
  ADD COLUMN context_above bigint NOT NULL DEFAULT 0 CHECK (context_above >= 0),
  ADD COLUMN context_up_to bigint CHECK (context_up_to > context_above),
  ADD COLUMN hours jsonb CHECK (jsonb_typeof(hours) = 'array');
ALTER TABLE price_book_prices DROP CONSTRAINT price_book_prices_pkey, ADD PRIMARY KEY (book, version, provider, model, "row");
COMMENT ON COLUMN price_book_prices."row" IS 'Number of the row within its model, from 0.';
COMMENT ON COLUMN price_book_prices.price_class IS 'Class of requests that it prices, such as standard, priority, flex or batch.';
COMMENT ON COLUMN price_book_prices.context_above IS 'For inputs of more tokens than this, cached and written ones included.';
COMMENT ON COLUMN price_book_prices.context_up_to IS 'For inputs of at most so many tokens; null: of any length.';
COMMENT ON COLUMN price_book_prices.hours IS 'Hours of the week in UTC in which it holds: [{ weekdays, from, to }]; null: at any time.';
`;

/** Adds the conditions of prices. */
export class PriceRows1768435200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(ROWS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE price_book_prices DROP CONSTRAINT price_book_prices_pkey;
      ALTER TABLE price_book_prices DROP COLUMN "row", DROP COLUMN price_class, DROP COLUMN context_above,
        DROP COLUMN context_up_to, DROP COLUMN hours;
      ALTER TABLE price_book_prices ADD PRIMARY KEY (book, version, provider, model);
    `);
  }
}
