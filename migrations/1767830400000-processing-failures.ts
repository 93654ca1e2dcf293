/**
 * Owns: the closed set of reasons of dead letters as of this version: those of the table's first, and what came since.
 * Does not own: what each means (docs/errors.md).
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const FIRST_REASONS = [
  ...['EMPTY_MESSAGE', 'MESSAGE_TOO_LARGE', 'INVALID_UTF8', 'INVALID_JSON', 'UNKNOWN_SCHEMA_VERSION', 'INVALID_EVENT'],
  ...['OCCURRED_AT_IN_FUTURE', 'OCCURRED_AT_TOO_OLD', 'CURRENCY_MISMATCH', 'AMOUNT_OUT_OF_RANGE'],
  'CONFLICTING_DUPLICATE',
];
const REASONS = [
  ...FIRST_REASONS,
  ...['KEY_NOT_TENANT', 'PRODUCER_NOT_ALLOWED', 'UNKNOWN_TENANT', 'COST_TOO_LARGE', 'PROCESSING_FAILED'],
];

function checkOf(reasons: readonly string[]): string {
  return `
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_reason_check;
ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_reason_check
  CHECK (reason IN (${reasons.map((reason) => `'${reason}'`).join(', ')}));`;
}

/** Knows messages that charging fails for, and those that are turned down by a bound of the operator. */
export class ProcessingFailures1767830400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(checkOf(REASONS));
  }

  /** Fails while a dead letter has one of the reasons that came since. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query(checkOf(FIRST_REASONS));
  }
}
