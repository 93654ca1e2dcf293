/**
 * Owns: whose usage an entry is, besides the tenant's, and the price class that it was served in.
 * Does not own: what a class costs (price_book_prices).
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const COLUMNS = `
ALTER TABLE ledger_entries
  ADD COLUMN price_class text,
  ADD COLUMN user_id text,
  ADD COLUMN project_id text,
  ADD COLUMN tags jsonb CHECK (jsonb_typeof(tags) = 'object');
ALTER TABLE ledger_entries
  ALTER COLUMN price_class SET STATISTICS 10,
  ALTER COLUMN user_id SET STATISTICS 10,
  ALTER COLUMN project_id SET STATISTICS 10,
  ALTER COLUMN tags SET STATISTICS 10;
COMMENT ON COLUMN ledger_entries.price_class IS
  'Class in which the provider served the request, as its event says: priority, batch, …; null: it says none, which is standard.';
COMMENT ON COLUMN ledger_entries.user_id IS 'User of the tenant whose request it was, as its event says; decides nothing.';
COMMENT ON COLUMN ledger_entries.project_id IS 'Project of the tenant that it was for, as its event says; decides nothing.';
COMMENT ON COLUMN ledger_entries.tags IS 'Further names to report by, as its event says: {"name": "value"}; they decide nothing.';
`;

/** Adds the columns; the entries that there are have none of it. */
export class UsageAttribution1768780800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(COLUMNS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      'ALTER TABLE ledger_entries DROP COLUMN price_class, DROP COLUMN user_id, DROP COLUMN project_id, DROP COLUMN tags',
    );
  }
}
