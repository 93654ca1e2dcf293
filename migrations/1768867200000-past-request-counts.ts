/**
 * Owns: the requests of the days and months before the newest, which accounts count apart from it.
 * Does not own: how the text is read (src/ledger/request-windows.ts).
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const COLUMN = `
ALTER TABLE accounts ADD COLUMN past_counts text NOT NULL DEFAULT '|'
  CHECK (past_counts ~ '^(\\d+(,\\d+)*)?\\|(\\d+(,\\d+)*)?$');
COMMENT ON COLUMN accounts.past_counts IS
  'Requests of the 59 days before daily_date, a bar, and of the 2 months before monthly_month: counts from the newest on, joined by commas, without zeros at the end.';
`;

/** What the entries of each account have counted in the periods that are kept, as the fold counts it. */
const FILL = `
WITH by_day AS MATERIALIZED (
  SELECT tenant_id, counted_on, sum(requests) AS requests FROM ledger_entries
  WHERE counted_on IS NOT NULL GROUP BY tenant_id, counted_on),
by_month AS MATERIALIZED (
  SELECT tenant_id, to_char(counted_on, 'YYYY-MM') AS month, sum(requests) AS requests FROM by_day GROUP BY 1, 2),
past AS (
  SELECT a.tenant_id,
    (SELECT string_agg(greatest(0, coalesce(d.requests, 0))::text, ',' ORDER BY before)
     FROM generate_series(1, 59) AS before
     LEFT JOIN by_day d ON d.tenant_id = a.tenant_id AND d.counted_on = a.daily_date - before) AS days,
    (SELECT string_agg(greatest(0, coalesce(m.requests, 0))::text, ',' ORDER BY before)
     FROM generate_series(1, 2) AS before
     LEFT JOIN by_month m ON m.tenant_id = a.tenant_id
       AND m.month = to_char(to_date(a.monthly_month, 'YYYY-MM') - make_interval(months => before), 'YYYY-MM')) AS months
  FROM accounts a)
UPDATE accounts a
SET past_counts = regexp_replace(past.days, '(^|,)0(,0)*$', '') || '|' || regexp_replace(past.months, '(^|,)0(,0)*$', '')
FROM past WHERE past.tenant_id = a.tenant_id`;

/** Adds the column, and fills it from the entries that there are. */
export class PastRequestCounts1768867200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(COLUMN);
    await runner.query(FILL);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE accounts DROP COLUMN past_counts');
  }
}
