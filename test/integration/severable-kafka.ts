/**
 * Owns: a Kafka client whose network can be cut on the way back: requests still reach the broker, answers are lost.
 * That is the failure after which a producer cannot know whether its batch was stored.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import kafkajs from 'kafkajs';
import type { ISocketFactoryArgs, Kafka } from 'kafkajs';
import { TollbookError } from '../../src/runtime/errors.js';

/** A client with a switch in its network. */
export interface SeverableKafka {
  readonly kafka: Kafka;
  /** Loses every answer from now on and refuses new connections. */
  sever(): void;
  /** Lets everything pass again. */
  mend(): void;
}

/** Makes a client for these brokers; its retries are few, so that failures come quickly. */
export function severableKafka(brokers: readonly string[]): SeverableKafka {
  let isSevered = false;
  // kafkajs listens to `error`, not to `close`: a socket destroyed without an error leaves its requests waiting.
  const cut = (socket: Socket): void =>
    void socket.destroy(new TollbookError('KAFKA_UNAVAILABLE', 'the network is cut'));
  const socketFactory = ({ host, port, onConnect }: ISocketFactoryArgs): Socket => {
    const socket = connect({ host, port }, () => (isSevered ? cut(socket) : onConnect()));
    const emit = socket.emit.bind(socket) as (...args: unknown[]) => boolean;
    socket.emit = (...args: unknown[]): boolean => {
      if (!isSevered || args[0] !== 'data') return emit(...args);
      cut(socket);
      return true;
    };
    return socket;
  };
  const kafka = new kafkajs.Kafka({
    brokers: [...brokers],
    clientId: 'tollbook-test-severable',
    logLevel: kafkajs.logLevel.NOTHING,
    connectionTimeout: 1_000,
    retry: { retries: 1, initialRetryTime: 50 },
    socketFactory,
  });
  return { kafka, sever: () => void (isSevered = true), mend: () => void (isSevered = false) };
}
