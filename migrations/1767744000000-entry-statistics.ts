/**
 * Owns: how much ANALYZE reads of the ledger.
 * Does not own: plans: those of the hot path are forced onto indexes (docs/decisions/0008-plans-are-forced-onto-indexes.md).
 * Why: ANALYZE runs whenever the table has grown by a tenth. With the default target it sampled 30,000 rows and sorted
 * them by each of 37 columns: 0.4 s of CPU, which a young ledger paid every 100,000 entries.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A tenth of the default: 3,000 rows, enough to tell a key from a constant. */
const STATISTICS = 10;
/** What every column has that was never told otherwise. */
const DEFAULT_STATISTICS = -1;

/** Sets the statistics target of every column of the ledger. */
function statisticsOf(target: number): string {
  return `
DO $$
DECLARE
  changes text;
BEGIN
  SELECT string_agg(format('ALTER COLUMN %I SET STATISTICS ${target}', attname), ', ' ORDER BY attnum) INTO changes
  FROM pg_attribute WHERE attrelid = 'ledger_entries'::regclass AND attnum > 0 AND NOT attisdropped;
  EXECUTE 'ALTER TABLE ledger_entries ' || changes;
END $$;`;
}

/** Lets ANALYZE sample fewer entries. */
export class EntryStatistics1767744000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(statisticsOf(STATISTICS));
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(statisticsOf(DEFAULT_STATISTICS));
  }
}
