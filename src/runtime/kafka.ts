/**
 * Owns: how a Kafka client is made: time-outs, retries, and where its log goes.
 * Does not own: producers and consumers (src/gateway, src/consumers), topics.
 * Invariants: kafkajs never writes to the console. It calls every failure an error, also those it then retries;
 * so its levels are taken one lower here, and what is final reaches the caller as an exception.
 */
import kafkajs from 'kafkajs';
import type { Kafka, LogEntry, logLevel as KafkaLogLevel } from 'kafkajs';
import { kafkajsAddress, openKafkaSocket } from './kafka-addresses.js';
import type { Logger } from './logger.js';

/** How to reach Kafka. */
export interface KafkaOptions {
  /** Addresses as host:port or [IPv6]:port; one that answers is enough to find the others. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** Where the client's log goes; without it the client is silent. */
  readonly logger?: Logger;
  /** How often a failed request is tried again; default 8, about 14 seconds in all. */
  readonly retries?: number;
}

const RETRIES_DEFAULT = 8;
const RETRY_FIRST_MS = 100;
const RETRY_LONGEST_MS = 5_000;
const CONNECTION_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 30_000;

/** The retry policy of every Kafka request: 100 ms at first, doubling up to 5 s. */
export function kafkaRetry(retries: number = RETRIES_DEFAULT): {
  retries: number;
  initialRetryTime: number;
  maxRetryTime: number;
} {
  return { retries, initialRetryTime: RETRY_FIRST_MS, maxRetryTime: RETRY_LONGEST_MS };
}

function logTo(logger: Logger): (entry: LogEntry) => void {
  const { logLevel } = kafkajs;
  const write: Partial<Record<KafkaLogLevel, (facts: object, sentence: string) => void>> = {
    [logLevel.ERROR]: (facts, sentence) => logger.warn(facts, sentence),
    [logLevel.WARN]: (facts, sentence) => logger.info(facts, sentence),
    [logLevel.INFO]: (facts, sentence) => logger.debug(facts, sentence),
    [logLevel.DEBUG]: (facts, sentence) => logger.trace(facts, sentence),
  };
  return ({ level, namespace, log }) => {
    const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...facts } = log;
    write[level]?.({ kafkajs: namespace, ...facts }, message);
  };
}

/** Makes a Kafka client; nothing is connected yet. */
export function createKafka(options: KafkaOptions): Kafka {
  const { logger } = options;
  return new kafkajs.Kafka({
    brokers: options.brokers.map(kafkajsAddress),
    socketFactory: openKafkaSocket,
    clientId: options.clientId,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    retry: kafkaRetry(options.retries),
    logLevel: logger === undefined ? kafkajs.logLevel.NOTHING : kafkajs.logLevel.INFO,
    logCreator: () => (logger === undefined ? () => undefined : logTo(logger)),
  });
}
