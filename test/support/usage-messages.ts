/**
 * Owns: well-formed usage events in their wire form, and sending bytes to a topic as they are.
 * Does not own: malformed events (each test spoils its own).
 */
import kafkajs from 'kafkajs';
import type { Kafka, Message } from 'kafkajs';

const { CompressionTypes, Partitioners } = kafkajs;

/** A JSON object of the wire. */
export type WireEvent = Readonly<Record<string, unknown>>;

/** What a completion of `completion` costs: 1,000 input tokens at 0.003 and 200 output tokens at 0.015, per 1,000. */
export const COMPLETION_COST = '0.006000000';

/** A completion that is charged whatever the balance, because it streamed. */
export function completion(tenantId: string, traceId: string, fields: WireEvent = {}): WireEvent {
  return {
    schema_version: 1,
    event_id: `completed-${traceId}`,
    trace_id: traceId,
    tenant_id: tenantId,
    occurred_at: new Date().toISOString(),
    provider: 'openai',
    model: 'gpt-4o',
    stream: true,
    outcome: 'succeeded',
    usage: { input_tokens: 1000, output_tokens: 200 },
    pricing: { input_per_1k: '0.003', output_per_1k: '0.015', currency: 'USD' },
    ...fields,
  };
}

/** A pending event of a request that streams. */
export function pending(tenantId: string, traceId: string, fields: WireEvent = {}): WireEvent {
  const { outcome: _outcome, usage: _usage, ...shared } = completion(tenantId, traceId);
  const estimate = { input_tokens: 1000, max_output_tokens: 500 };
  return { ...shared, event_id: `pending-${traceId}`, estimate, ...fields };
}

/** The message of an event, keyed by its tenant. */
export function messageOf(event: WireEvent, partition?: number): Message {
  const value = Buffer.from(JSON.stringify(event));
  return { key: String(event['tenant_id']), value, ...(partition === undefined ? {} : { partition }) };
}

/** `count` completions of one tenant for one partition; their traces are `TENANT-FIRST` and the numbers after it. */
export function completions(tenantId: string, count: number, at: { partition: number; first?: number }): Message[] {
  const first = at.first ?? 0;
  return Array.from({ length: count }, (_, index) =>
    messageOf(completion(tenantId, `${tenantId}-${first + index}`), at.partition),
  );
}

/** Sends messages to a topic in their order, and waits until Kafka has them. */
export async function send(kafka: Kafka, topic: string, messages: readonly Message[]): Promise<void> {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  try {
    await producer.send({ topic, messages: [...messages], acks: -1, compression: CompressionTypes.None });
  } finally {
    await producer.disconnect();
  }
}
