/**
 * Owns: the hashes of what a batch sets aside, the root over them in the batch, and the hash of a command's record in its entry.
 * Does not own: how they are made (docs/hashing.md).
 * Of rows written before this step nobody can say what they were sealed with: they get an empty hash, and verification says so.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const TABLES = ['dead_letters', 'skipped_events', 'unpriced_usage'];

const ADD_ROW_HASHES = TABLES.map(
  (table) => `
ALTER TABLE ${table} ADD COLUMN row_hash bytea NOT NULL DEFAULT '';
ALTER TABLE ${table} ALTER COLUMN row_hash DROP DEFAULT;
COMMENT ON COLUMN ${table}.row_hash IS
  'SHA-256 of a zero byte and the canonical form of the row (docs/hashing.md): a leaf under aside_root of its batch.';`,
);

const UP = `
ALTER TABLE ledger_batches ADD COLUMN aside_root bytea NOT NULL DEFAULT '';
ALTER TABLE ledger_batches ALTER COLUMN aside_root DROP DEFAULT;
COMMENT ON COLUMN ledger_batches.aside_root IS
  'RFC 6962 root over the row hashes of what the batch set aside, ascending; of nothing, SHA-256 of the empty string.';

ALTER TABLE ledger_entries ADD COLUMN command_hash text;
ALTER TABLE ledger_entries ALTER COLUMN command_hash SET STATISTICS 10;
COMMENT ON COLUMN ledger_entries.command_hash IS
  'SHA-256 of the canonical form of the command''s record, in hexadecimal digits (docs/hashing.md); null for usage.';
${ADD_ROW_HASHES.join('\n')}
`;

const DOWN = `
DO $$
BEGIN
  IF EXISTS (SELECT FROM ledger_batches) THEN
    RAISE EXCEPTION 'batches have been sealed over what they set aside: no migration drops the hashes'
      USING ERRCODE = 'restrict_violation';
  END IF;
END $$;
${TABLES.map((table) => `ALTER TABLE ${table} DROP COLUMN row_hash;`).join('\n')}
ALTER TABLE ledger_entries DROP COLUMN command_hash;
ALTER TABLE ledger_batches DROP COLUMN aside_root;
`;

/** Covers by hashes what stands beside the entries. Taking it back is refused once a batch is sealed. */
export class SetAsideHashes1768262400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(UP);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(DOWN);
  }
}
