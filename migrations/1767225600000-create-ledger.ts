/**
 * Owns: the first schema of the ledger: tables, append-only enforcement, and the rights of the application role.
 * Does not own: that role itself, which belongs to the whole cluster (src/runtime/application-role.ts).
 * Invariants: the owner of the tables is never the role that charges; what is append-only is so twice, by a missing
 * grant and by a trigger.
 */
import type { MigrationInterface, QueryRunner } from 'typeorm';

const AMOUNT_AND_TYPES = `
CREATE DOMAIN amount_nano AS numeric(28,9)
  CHECK (VALUE > -9223372036.854775808 AND VALUE < 9223372036.854775808);
COMMENT ON DOMAIN amount_nano IS 'Exact amount in currency units with nine decimals; its magnitude is below 2^63 nano-units, so that it fits an int64 in Redis.';
CREATE TYPE entry_type AS ENUM ('DEDUCT', 'CREDIT', 'REFUND', 'ADJUSTMENT', 'LIMITS');
CREATE TYPE entry_status AS ENUM ('PENDING', 'REFUSED', 'COMMITTED', 'FAILED', 'VOIDED', 'EXPIRED');
CREATE TYPE usage_outcome AS ENUM ('succeeded', 'failed', 'cancelled');
CREATE TYPE hold_policy AS ENUM ('estimate', 'none');
`;

const LEDGER_ENTRIES = `
CREATE TABLE ledger_entries (
  tenant_id text COLLATE "C" NOT NULL,
  seq bigint NOT NULL CHECK (seq > 0),
  trace_id text COLLATE "C" NOT NULL,
  type entry_type NOT NULL,
  status entry_status NOT NULL,
  amount amount_nano NOT NULL,
  balance_before amount_nano NOT NULL,
  balance_after amount_nano NOT NULL,
  held_before amount_nano NOT NULL,
  held_after amount_nano NOT NULL,
  currency text NOT NULL,
  requests smallint NOT NULL,
  counted_on date,
  input_tokens bigint,
  output_tokens bigint,
  input_price numeric,
  output_price numeric,
  meters jsonb,
  price_version text,
  provider text,
  model text,
  api_key_id text,
  preset_item_id text,
  stream boolean,
  outcome usage_outcome,
  allow_negative boolean,
  description text,
  detail jsonb,
  reference_seq bigint,
  actor text,
  source_topic text NOT NULL,
  source_partition integer NOT NULL,
  source_offset bigint NOT NULL,
  occurred_at timestamptz(3) NOT NULL,
  recorded_at timestamptz(3) NOT NULL,
  batch_id bigint NOT NULL,
  entry_hash bytea NOT NULL,
  PRIMARY KEY (tenant_id, seq),
  UNIQUE (tenant_id, trace_id, status)
);
CREATE INDEX ledger_entries_batch_id ON ledger_entries USING brin (batch_id) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE ledger_entries IS 'The ledger: append-only, the only truth about money. Accounts are its fold.';
COMMENT ON COLUMN ledger_entries.seq IS 'Gapless per tenant, from 1.';
COMMENT ON COLUMN ledger_entries.trace_id IS 'The request (usage), "~" and the idempotency key (commands), or "~~open" (opening of the account).';
COMMENT ON COLUMN ledger_entries.amount IS 'By status: charged (COMMITTED), estimated (PENDING, REFUSED), uncollected (FAILED), released (VOIDED, EXPIRED). Signed for adjustments only.';
COMMENT ON COLUMN ledger_entries.requests IS 'Change of the request count in the daily and monthly windows of counted_on.';
COMMENT ON COLUMN ledger_entries.counted_on IS 'UTC day whose windows the request counts in; null when nothing is counted.';
COMMENT ON COLUMN ledger_entries.input_price IS 'Price per 1,000 input tokens with every digit it came with.';
COMMENT ON COLUMN ledger_entries.output_price IS 'Price per 1,000 output tokens with every digit it came with.';
COMMENT ON COLUMN ledger_entries.output_tokens IS 'Output tokens used; for PENDING and REFUSED the most that may be produced.';
COMMENT ON COLUMN ledger_entries.meters IS 'Further meters: name to quantity and price per 1,000; null when there are none.';
COMMENT ON COLUMN ledger_entries.description IS 'Why: a refusal code, "late", the outcome that voided a hold, or the reason an actor gave.';
COMMENT ON COLUMN ledger_entries.detail IS 'Figures of the description: required and available, limit and used, or the terms of a LIMITS entry.';
COMMENT ON COLUMN ledger_entries.reference_seq IS 'Entry of the same tenant that this one refers to.';
COMMENT ON COLUMN ledger_entries.actor IS 'Who gave the command; null for usage.';
COMMENT ON COLUMN ledger_entries.source_offset IS 'Kafka offset of the message, or number of the command in its command stream.';
COMMENT ON COLUMN ledger_entries.occurred_at IS 'When it happened, as the source says; windows follow it.';
COMMENT ON COLUMN ledger_entries.recorded_at IS 'When its batch was sealed: sealed_at of the batch.';
COMMENT ON COLUMN ledger_entries.batch_id IS 'The sealed batch that covers this entry.';
COMMENT ON COLUMN ledger_entries.entry_hash IS 'SHA-256 of a zero byte and the canonical form (docs/hashing.md): the leaf of the entry in the Merkle tree.';
COMMENT ON INDEX ledger_entries_batch_id IS 'Serves: entries of a batch, for proofs and for the projector. BRIN, because entries arrive nearly in batch order and the table is append-only.';
`;

const ACCOUNTS = `
CREATE TABLE accounts (
  tenant_id text COLLATE "C" PRIMARY KEY,
  currency text NOT NULL,
  balance amount_nano NOT NULL,
  held amount_nano NOT NULL CHECK (held >= 0),
  credit_limit amount_nano NOT NULL CHECK (credit_limit >= 0),
  daily_quota bigint CHECK (daily_quota >= 0),
  daily_used bigint NOT NULL CHECK (daily_used >= 0),
  daily_date date NOT NULL,
  monthly_quota bigint CHECK (monthly_quota >= 0),
  monthly_used bigint NOT NULL CHECK (monthly_used >= 0),
  monthly_month text NOT NULL CHECK (monthly_month ~ '^\\d{4}-\\d{2}$'),
  hold_policy hold_policy NOT NULL,
  seq bigint NOT NULL CHECK (seq >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE accounts IS 'Fold of ledger_entries per tenant: mutable, always recomputable. The row lock orders the writers of a tenant. Half-filled pages keep updates in place.';
COMMENT ON COLUMN accounts.held IS 'Sum of the open holds.';
COMMENT ON COLUMN accounts.daily_quota IS 'Requests per UTC day; null means unlimited.';
COMMENT ON COLUMN accounts.monthly_quota IS 'Requests per UTC month; null means unlimited.';
COMMENT ON COLUMN accounts.seq IS 'seq of the last entry folded in.';

CREATE TABLE open_holds (
  tenant_id text COLLATE "C" NOT NULL,
  trace_id text COLLATE "C" NOT NULL,
  amount amount_nano NOT NULL CHECK (amount >= 0),
  counted_on date,
  expires_at timestamptz(3) NOT NULL,
  PRIMARY KEY (tenant_id, trace_id)
);
CREATE INDEX open_holds_expires_at ON open_holds (expires_at);
COMMENT ON TABLE open_holds IS 'PENDING entries not yet settled: a mutable helper, written in the same database transaction as the entries.';
COMMENT ON INDEX open_holds_expires_at IS 'Serves: the sweeper that finds holds past their time to live.';
`;

const STREAMS = `
CREATE SEQUENCE ledger_batch_id AS bigint;
COMMENT ON SEQUENCE ledger_batch_id IS 'Drawn while account locks are held: of two batches that share a tenant, the lower id was charged first. Gaps are harmless.';

CREATE TABLE stream_cursors (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  next_offset bigint NOT NULL,
  batch_no bigint NOT NULL,
  head bytea NOT NULL,
  cluster_id text NOT NULL,
  PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE stream_cursors IS 'How far each source has been charged: lock, fence and position in one row. Kafka''s committed offset is only a hint.';
COMMENT ON COLUMN stream_cursors.head IS 'Hash of the last sealed batch of the source; 32 zero bytes before the first.';
COMMENT ON COLUMN stream_cursors.cluster_id IS 'Kafka cluster whose offsets these are; "commands" for command streams.';

CREATE TABLE ledger_batches (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  batch_no bigint NOT NULL CHECK (batch_no > 0),
  batch_id bigint NOT NULL UNIQUE,
  first_offset bigint NOT NULL,
  next_offset bigint NOT NULL CHECK (next_offset > first_offset),
  charged integer NOT NULL CHECK (charged >= 0),
  openings integer NOT NULL CHECK (openings >= 0),
  duplicates integer NOT NULL CHECK (duplicates >= 0),
  superseded integer NOT NULL CHECK (superseded >= 0),
  skipped integer NOT NULL CHECK (skipped >= 0),
  unpriced integer NOT NULL CHECK (unpriced >= 0),
  dead_letters integer NOT NULL CHECK (dead_letters >= 0),
  merkle_root bytea NOT NULL,
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL,
  sealed_at timestamptz(3) NOT NULL,
  PRIMARY KEY (topic, partition, batch_no)
);
COMMENT ON TABLE ledger_batches IS 'One sealed row per committed chunk; a hash chain per source.';
COMMENT ON COLUMN ledger_batches.charged IS 'Messages that became an entry. With duplicates, superseded, skipped, unpriced and dead_letters it adds up to the messages of the range.';
COMMENT ON COLUMN ledger_batches.openings IS 'Entries that opened an account; not messages.';
COMMENT ON COLUMN ledger_batches.merkle_root IS 'RFC 6962 root over the entry hashes, ordered by (source_offset, seq).';
COMMENT ON COLUMN ledger_batches.hash IS 'SHA-256 of the canonical form of the batch (docs/hashing.md), which includes prev_hash.';

CREATE TABLE stream_gaps (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  from_offset bigint NOT NULL,
  to_offset bigint NOT NULL CHECK (to_offset > from_offset),
  actor text NOT NULL,
  reason text NOT NULL,
  accepted_at timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition, from_offset)
);
COMMENT ON TABLE stream_gaps IS 'Ranges that Kafka lost before the ledger read them and that an operator accepted: from_offset up to, not including, to_offset.';
`;

const SET_ASIDE = `
CREATE TABLE dead_letters (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  message_key bytea,
  message_value bytea,
  headers jsonb NOT NULL,
  reason text NOT NULL CHECK (reason IN ('EMPTY_MESSAGE', 'MESSAGE_TOO_LARGE', 'INVALID_UTF8', 'INVALID_JSON',
    'UNKNOWN_SCHEMA_VERSION', 'INVALID_EVENT', 'OCCURRED_AT_IN_FUTURE', 'OCCURRED_AT_TOO_OLD', 'CURRENCY_MISMATCH',
    'AMOUNT_OUT_OF_RANGE', 'CONFLICTING_DUPLICATE')),
  detail text NOT NULL,
  tenant_id text COLLATE "C",
  trace_id text COLLATE "C",
  batch_id bigint NOT NULL,
  recorded_at timestamptz(3) NOT NULL,
  redrive_state text NOT NULL DEFAULT 'open' CHECK (redrive_state IN ('open', 'redriven', 'discarded')),
  PRIMARY KEY (topic, partition, kafka_offset)
);
COMMENT ON TABLE dead_letters IS 'Messages that cannot be charged, with their original bytes; written with the batch that passed them, never deleted.';
COMMENT ON COLUMN dead_letters.headers IS 'Header name to list of base64 values.';
COMMENT ON COLUMN dead_letters.detail IS 'Names the field, the value found and what is allowed.';
COMMENT ON COLUMN dead_letters.redrive_state IS 'The only column that may change.';

CREATE TABLE skipped_events (
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  tenant_id text COLLATE "C",
  trace_id text COLLATE "C" NOT NULL,
  reason text NOT NULL,
  event jsonb NOT NULL,
  batch_id bigint NOT NULL,
  recorded_at timestamptz(3) NOT NULL,
  PRIMARY KEY (topic, partition, kafka_offset)
);
COMMENT ON TABLE skipped_events IS 'Events that are not billable (no pricing, no tenant, or declared so by the gateway): recorded, never charged.';

CREATE TABLE unpriced_usage (
  tenant_id text COLLATE "C" NOT NULL,
  trace_id text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  meters text[] NOT NULL,
  event jsonb NOT NULL,
  batch_id bigint NOT NULL,
  recorded_at timestamptz(3) NOT NULL,
  PRIMARY KEY (tenant_id, trace_id)
);
COMMENT ON TABLE unpriced_usage IS 'Billable completions whose price is missing or zero: parked with all they need to be charged later; never booked as zero.';
COMMENT ON COLUMN unpriced_usage.meters IS 'The meters used without a price.';
`;

const APPEND_ONLY = `
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on % refused: the table is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION refuse_dead_letter_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (to_jsonb(NEW) - 'redrive_state') IS DISTINCT FROM (to_jsonb(OLD) - 'redrive_state') THEN
    RAISE EXCEPTION 'UPDATE on dead_letters refused: only redrive_state may change' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_batches FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stream_gaps FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON skipped_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON unpriced_usage FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON dead_letters FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_redrive_state BEFORE UPDATE ON dead_letters FOR EACH ROW EXECUTE FUNCTION refuse_dead_letter_change();
`;

const RIGHTS = `
GRANT SELECT, INSERT ON ledger_entries, ledger_batches, stream_gaps, skipped_events, unpriced_usage TO tollbook_app;
GRANT SELECT, INSERT, UPDATE ON accounts, stream_cursors TO tollbook_app;
GRANT SELECT, INSERT ON dead_letters TO tollbook_app;
GRANT UPDATE (redrive_state) ON dead_letters TO tollbook_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON open_holds TO tollbook_app;
GRANT USAGE ON SEQUENCE ledger_batch_id TO tollbook_app;
GRANT SELECT ON schema_migrations TO tollbook_app;
COMMENT ON TABLE schema_migrations IS 'The migrations applied to this database, one row each.';
`;

/** Dropping a table is the one thing that no trigger of its own can refuse. */
const REFUSE_IN_USE = `
LOCK TABLE ledger_batches, ledger_entries IN ACCESS EXCLUSIVE MODE;
DO $$
BEGIN
  IF EXISTS (SELECT FROM ledger_batches) OR EXISTS (SELECT FROM ledger_entries) THEN
    RAISE EXCEPTION 'the ledger has been written to: no migration drops it' USING ERRCODE = 'restrict_violation';
  END IF;
END $$;
`;

/** Creates the ledger. Taking it back is refused once it has been written to. */
export class CreateLedger1767225600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const part of [AMOUNT_AND_TYPES, LEDGER_ENTRIES, ACCOUNTS, STREAMS, SET_ASIDE, APPEND_ONLY, RIGHTS]) {
      await runner.query(part);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(REFUSE_IN_USE);
    await runner.query(`
      DROP TABLE unpriced_usage, skipped_events, dead_letters, stream_gaps, ledger_batches, stream_cursors, open_holds,
        accounts, ledger_entries;
      DROP SEQUENCE ledger_batch_id;
      DROP FUNCTION refuse_change, refuse_dead_letter_change;
      DROP TYPE entry_type, entry_status, usage_outcome, hold_policy;
      DROP DOMAIN amount_nano;
      REVOKE SELECT ON schema_migrations FROM tollbook_app;
      COMMENT ON TABLE schema_migrations IS NULL;
    `);
  }
}
