/**
 * Owns: that the guards of the ledger cannot be led astray by whoever may only insert: trigger functions look up names in
 * the schema of the ledger alone, and nobody but the owner makes temporary tables.
 * Why: a trigger function runs with the search path of the session. A temporary table named dead_letters, or one in a schema
 * put first, would be asked instead of the real one, and an action would be recorded on a letter that is closed.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const GUARDS = ['refuse_change', 'refuse_dead_letter_change', 'refuse_action_on_closed_letter'];

/** Runs a statement with the names of the schema and of the database, which are known at run time only. */
function withNames(statement: string): string {
  return `DO $$ BEGIN EXECUTE format('${statement}', current_schema(), current_database()); END $$;`;
}

/** Fixes the search path of the guards, and takes temporary tables away. */
export class GuardedSession1767916800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const guard of GUARDS) {
      await runner.query(withNames(`ALTER FUNCTION %1$I.${guard}() SET search_path = pg_catalog, %1$I, pg_temp`));
    }
    await runner.query(withNames('REVOKE TEMPORARY ON DATABASE %2$I FROM PUBLIC'));
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(withNames('GRANT TEMPORARY ON DATABASE %2$I TO PUBLIC'));
    for (const guard of GUARDS) await runner.query(withNames(`ALTER FUNCTION %1$I.${guard}() RESET search_path`));
  }
}
