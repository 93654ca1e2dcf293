/**
 * Owns: addresses of brokers as host:port, [IPv6]:port among them, in the form that kafkajs can take.
 * Why: kafkajs 2.2.4 cuts an address at its first colon. The colons of an IPv6 address are hidden from it, and come back
 * where the socket is opened. What brokers tell of each other has host and port apart, and passes unchanged.
 */
import { connect } from 'node:net';
import type { ISocketFactory } from 'kafkajs';

const KEEP_ALIVE_MS = 60_000;
/** Stands for a colon; no host name and no IPv6 address has one. */
const HIDDEN_COLON = '~';

/** An address as kafkajs takes it. */
export function kafkajsAddress(address: string): string {
  const [, host, port] = /^\[(.+)\]:(\d+)$/.exec(address) ?? [];
  return host === undefined || port === undefined ? address : `${host.replaceAll(':', HIDDEN_COLON)}:${port}`;
}

/** Opens the connections of a Kafka client. */
export const openKafkaSocket: ISocketFactory = ({ host, port, onConnect }) =>
  connect({ host: host.replaceAll(HIDDEN_COLON, ':'), port }, onConnect).setKeepAlive(true, KEEP_ALIVE_MS);
