/**
 * Owns: the indexes that reading the life of one trace and the terms of a past instant need.
 * Does not own: the tables they are on (the migrations before).
 * Invariants: none of the tables is one that every message writes to.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const INDEXES = `
CREATE INDEX skipped_events_trace ON skipped_events (tenant_id, trace_id);
COMMENT ON INDEX skipped_events_trace IS 'Serves: what was skipped of one trace.';
CREATE INDEX dead_letters_trace ON dead_letters (tenant_id, trace_id);
COMMENT ON INDEX dead_letters_trace IS 'Serves: the dead letters of one trace.';
CREATE INDEX ledger_commands_limits ON ledger_commands (tenant_id, seq) WHERE kind = 'limits';
COMMENT ON INDEX ledger_commands_limits IS 'Serves: the terms of an account as of a past entry.';
`;

/** Adds the indexes. */
export class ReadingIndexes1767570000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(INDEXES);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX skipped_events_trace, dead_letters_trace, ledger_commands_limits');
  }
}
