/** Owns: the wiring of a publisher to Kafka, from options to a connected instance. */
import type { Kafka } from 'kafkajs';
import type { Codec } from '../records/decompress.js';
import { systemClock } from '../runtime/clock.js';
import { TollbookError } from '../runtime/errors.js';
import { createKafka } from '../runtime/kafka.js';
import { connectKafkaTransport } from './kafka-transport.js';
import { publisherSettings } from './publisher-settings.js';
import type { PublisherTuning } from './publisher-settings.js';
import { UsagePublisher } from './usage-publisher.js';

/** How to reach Kafka, and how to publish. Give `brokers`, or `kafka` with its own security settings. */
export interface UsagePublisherOptions extends PublisherTuning {
  /** Addresses as host:port or [IPv6]:port. */
  readonly brokers?: readonly string[];
  /** A kafkajs client of your own, for TLS, SASL or other settings. */
  readonly kafka?: Kafka;
  /** Name of the client in the broker's logs; default `tollbook-gateway`. Only with `brokers`. */
  readonly clientId?: string;
  /** How batches are compressed; default none. */
  readonly compression?: Codec;
  /** How often a failed request is tried again before PUBLISH_FAILED; default 8, about 14 seconds in all. */
  readonly retries?: number;
}

function kafkaOf(options: UsagePublisherOptions): Kafka {
  const { brokers, kafka, clientId = 'tollbook-gateway', logger, retries } = options;
  if (kafka !== undefined && brokers === undefined) return kafka;
  if (kafka !== undefined || brokers === undefined || brokers.length === 0) {
    throw new TollbookError('CONFIG_INVALID', 'publisher: give either brokers (at least one host:port) or kafka');
  }
  return createKafka({
    brokers,
    clientId,
    ...(logger === undefined ? {} : { logger }),
    ...(retries === undefined ? {} : { retries }),
  });
}

/**
 * Makes a publisher that is connected to Kafka.
 * Throws CONFIG_INVALID for settings out of bounds, KAFKA_UNAVAILABLE when no broker answers, TOPIC_MISSING.
 */
export async function createUsagePublisher(options: UsagePublisherOptions): Promise<UsagePublisher> {
  const settings = publisherSettings(options, systemClock.nowMs());
  const { compression = 'none', retries, logger } = options;
  const transport = await connectKafkaTransport({
    kafka: kafkaOf(options),
    topics: [settings.topics.pending, settings.topics.completed],
    compression,
    logger,
    ...(retries === undefined ? {} : { retries }),
  });
  return new UsagePublisher(transport, settings);
}
