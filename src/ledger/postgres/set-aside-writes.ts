/**
 * Owns: the inserts for messages that are set aside instead of charged: dead letters, skipped and unpriced events.
 * Invariants: written in the same database transaction as the batch that passes them; original bytes are kept.
 */
import type pg from 'pg';
import type { BatchAppend } from '../ledger-store.js';
import { arrayLiteral } from './array-literal.js';

/** Writes the dead letters of a batch. */
export async function insertDeadLetters(client: pg.ClientBase, { batch, deadLetters }: BatchAppend): Promise<void> {
  if (deadLetters.length === 0) return;
  await client.query({
    name: 'insert-dead-letters',
    text: `INSERT INTO dead_letters (topic, partition, kafka_offset, message_key, message_value, headers, reason, detail,
       tenant_id, trace_id, batch_id, recorded_at)
     SELECT $1, $2, d.kafka_offset, d.message_key, d.message_value, d.headers, d.reason, d.detail, d.tenant_id,
       d.trace_id, $3, $4
     FROM unnest($5::bigint[], $6::bytea[], $7::bytea[], $8::jsonb[], $9::text[], $10::text[], $11::text[], $12::text[])
       AS d(kafka_offset, message_key, message_value, headers, reason, detail, tenant_id, trace_id)`,
    values: [
      ...[batch.source.topic, batch.source.partition, batch.batchId, batch.sealedAt],
      deadLetters.map((letter) => letter.kafkaOffset),
      deadLetters.map((letter) => letter.key),
      deadLetters.map((letter) => letter.value),
      deadLetters.map((letter) => JSON.stringify(letter.headers)),
      deadLetters.map((letter) => letter.reason),
      deadLetters.map((letter) => letter.detail),
      deadLetters.map((letter) => letter.tenantId),
      deadLetters.map((letter) => letter.traceId),
    ],
  });
}

/** Writes the events of a batch that are not billable. */
export async function insertSkipped(client: pg.ClientBase, { batch, skipped }: BatchAppend): Promise<void> {
  if (skipped.length === 0) return;
  await client.query({
    name: 'insert-skipped',
    text: `INSERT INTO skipped_events (topic, partition, kafka_offset, tenant_id, trace_id, reason, event, batch_id, recorded_at)
     SELECT $1, $2, s.kafka_offset, s.tenant_id, s.trace_id, s.reason, s.event, $3, $4
     FROM unnest($5::bigint[], $6::text[], $7::text[], $8::text[], $9::jsonb[])
       AS s(kafka_offset, tenant_id, trace_id, reason, event)`,
    values: [
      ...[batch.source.topic, batch.source.partition, batch.batchId, batch.sealedAt],
      skipped.map(({ kafkaOffset }) => kafkaOffset),
      skipped.map(({ event }) => event.tenantId ?? null),
      skipped.map(({ event }) => event.traceId),
      skipped.map(({ reason }) => reason),
      skipped.map(({ event }) => JSON.stringify(event)),
    ],
  });
}

/** Parks the completions of a batch whose price is missing. */
export async function insertUnpriced(client: pg.ClientBase, { batch, unpriced }: BatchAppend): Promise<void> {
  if (unpriced.length === 0) return;
  await client.query({
    name: 'insert-unpriced',
    text: `INSERT INTO unpriced_usage (tenant_id, trace_id, topic, partition, kafka_offset, meters, event, batch_id,
       recorded_at)
     SELECT u.tenant_id, u.trace_id, $1, $2, u.kafka_offset, u.meters::text[], u.event, $3, $4
     FROM unnest($5::text[], $6::text[], $7::bigint[], $8::text[], $9::jsonb[])
       AS u(tenant_id, trace_id, kafka_offset, meters, event)`,
    values: [
      ...[batch.source.topic, batch.source.partition, batch.batchId, batch.sealedAt],
      unpriced.map(({ tenantId }) => tenantId),
      unpriced.map(({ event }) => event.traceId),
      unpriced.map(({ kafkaOffset }) => kafkaOffset),
      unpriced.map(({ meters }) => arrayLiteral(meters)),
      unpriced.map(({ event }) => JSON.stringify(event)),
    ],
  });
}
