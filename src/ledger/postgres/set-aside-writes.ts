/**
 * Owns: the inserts for messages that are set aside instead of charged: dead letters, skipped and unpriced events.
 * Does not own: the hash of a row (ledger/set-aside.ts).
 * Invariants: written in the same database transaction as the batch that passes them; original bytes are kept; each row
 * carries the hash that the root of its batch covers.
 */
import type pg from 'pg';
import type { BatchAppend } from '../ledger-store.js';
import type { AsideRow, SealedAside } from '../set-aside.js';
import { arrayLiteral } from './array-literal.js';

/** Writes what a batch sets aside. */
export async function writeAside(client: pg.ClientBase, { batch, aside }: BatchAppend): Promise<void> {
  const seal = [batch.batchId, batch.sealedAt];
  await insertDeadLetters(client, aside, seal);
  await insertSkipped(client, aside, seal);
  await insertUnpriced(client, aside, seal);
}

type Seal = readonly unknown[];

/** The columns that every row has: topic, partition, and the hash. */
function sharedColumns(rows: readonly AsideRow<unknown>[]): string[] {
  return [
    arrayLiteral(rows.map(({ source }) => source.topic)),
    arrayLiteral(rows.map(({ source }) => source.partition)),
    arrayLiteral(rows.map(({ rowHash }) => `\\x${rowHash}`)),
  ];
}

async function insertDeadLetters(client: pg.ClientBase, { deadLetters }: SealedAside, seal: Seal): Promise<void> {
  if (deadLetters.length === 0) return;
  const letters = deadLetters.map(({ row }) => row);
  await client.query({
    name: 'insert-dead-letters',
    text: `INSERT INTO dead_letters (topic, partition, row_hash, kafka_offset, message_key, message_value, headers, reason,
       detail, tenant_id, trace_id, event_id, batch_id, recorded_at)
     SELECT d.*, $1, $2
     FROM unnest($3::text[], $4::integer[], $5::bytea[], $6::bigint[], $7::bytea[], $8::bytea[], $9::jsonb[], $10::text[],
       $11::text[], $12::text[], $13::text[], $14::text[]) AS d`,
    values: [
      ...seal,
      ...sharedColumns(deadLetters),
      letters.map((letter) => letter.kafkaOffset),
      letters.map((letter) => letter.key),
      letters.map((letter) => letter.value),
      letters.map((letter) => JSON.stringify(letter.headers)),
      letters.map((letter) => letter.reason),
      letters.map((letter) => letter.detail),
      letters.map((letter) => letter.tenantId),
      letters.map((letter) => letter.traceId),
      letters.map((letter) => letter.eventId),
    ],
  });
}

async function insertSkipped(client: pg.ClientBase, { skipped }: SealedAside, seal: Seal): Promise<void> {
  if (skipped.length === 0) return;
  const events = skipped.map(({ row }) => row);
  await client.query({
    name: 'insert-skipped',
    text: `INSERT INTO skipped_events (topic, partition, row_hash, kafka_offset, tenant_id, trace_id, reason, event, batch_id,
       recorded_at)
     SELECT s.*, $1, $2
     FROM unnest($3::text[], $4::integer[], $5::bytea[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::jsonb[]) AS s`,
    values: [
      ...seal,
      ...sharedColumns(skipped),
      events.map(({ kafkaOffset }) => kafkaOffset),
      events.map(({ event }) => event.tenantId ?? null),
      events.map(({ event }) => event.traceId),
      events.map(({ reason }) => reason),
      events.map(({ event }) => JSON.stringify(event)),
    ],
  });
}

async function insertUnpriced(client: pg.ClientBase, { unpriced }: SealedAside, seal: Seal): Promise<void> {
  if (unpriced.length === 0) return;
  const parked = unpriced.map(({ row }) => row);
  await client.query({
    name: 'insert-unpriced',
    text: `INSERT INTO unpriced_usage (topic, partition, row_hash, tenant_id, trace_id, kafka_offset, meters, event, batch_id,
       recorded_at)
     SELECT u.topic, u.partition, u.row_hash, u.tenant_id, u.trace_id, u.kafka_offset, u.meters::text[], u.event, $1, $2
     FROM unnest($3::text[], $4::integer[], $5::bytea[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::jsonb[])
       AS u(topic, partition, row_hash, tenant_id, trace_id, kafka_offset, meters, event)`,
    values: [
      ...seal,
      ...sharedColumns(unpriced),
      parked.map(({ tenantId }) => tenantId),
      parked.map(({ event }) => event.traceId),
      parked.map(({ kafkaOffset }) => kafkaOffset),
      parked.map(({ meters }) => arrayLiteral(meters)),
      parked.map(({ event }) => JSON.stringify(event)),
    ],
  });
}
