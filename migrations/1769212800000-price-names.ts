/**
 * Owns: the names that a version of a price book gives its models beside their own, and whose dated names it takes.
 * Does not own: how a name is found (src/ledger/price-book.ts).
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const NAMES = `
ALTER TABLE price_book_prices ADD COLUMN alias_of text COLLATE "C" CHECK (alias_of <> model);
COMMENT ON COLUMN price_book_prices.alias_of IS 'The model of the same provider that this name stands for; null: its own name.';
ALTER TABLE price_book_versions ADD COLUMN dated_providers text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN price_book_versions.dated_providers IS 'Providers whose names with a date at their end are priced like the same name without it.';
`;

/** Adds the columns; versions imported before know no alias and no dated names. */
export class PriceNames1769212800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(NAMES);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE price_book_prices DROP COLUMN alias_of;
      ALTER TABLE price_book_versions DROP COLUMN dated_providers;
    `);
  }
}
