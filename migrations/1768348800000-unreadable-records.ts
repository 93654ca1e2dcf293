/**
 * Owns: the reasons of dead letters that the record gate gives: a batch that cannot be read, a message with too many headers.
 * Invariants: the reasons that are allowed already stay allowed, whichever migration brought them.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const REASONS = `ARRAY['UNREADABLE_BATCH', 'TOO_MANY_HEADERS']`;

/** Allows the reasons that a query over the allowed ones (`reason`) selects. */
function allowing(selection: string): string {
  return `
DO $$
DECLARE
  allowed text;
BEGIN
  WITH known AS (
    SELECT matched.parts[1] AS reason
    FROM pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''([A-Z0-9_]+)''', 'g') AS matched (parts)
    WHERE conrelid = 'dead_letters'::regclass AND conname = 'dead_letters_reason_check')
  SELECT string_agg(quote_literal(reason), ', ' ORDER BY reason) INTO allowed FROM (${selection}) AS wanted;
  ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_reason_check;
  EXECUTE 'ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_reason_check CHECK (reason IN (' || allowed || '))';
END $$;`;
}

/** Allows the reasons of the record gate. */
export class UnreadableRecords1768348800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(allowing(`SELECT reason FROM known UNION SELECT unnest(${REASONS})`));
  }

  /** Fails once there is such a letter: no migration drops it. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query(allowing(`SELECT reason FROM known WHERE reason <> ALL (${REASONS})`));
  }
}
