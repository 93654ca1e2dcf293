/**
 * Owns: serving the figures of a process over HTTP: GET /metrics for Prometheus, GET /healthz for a supervisor.
 * Does not own: the figures (metrics.ts).
 * Invariants: /healthz answers 200 as long as the process runs, also while it drains; nothing of a request is read but
 * its method and path; closing waits for no client.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TollbookError } from './errors.js';
import type { Metrics } from './metrics.js';

/** An endpoint that is served. */
export interface MetricsEndpoint {
  /** The port it listens on; the one that was free when 0 was asked for. */
  readonly port: number;
  readonly close: () => Promise<void>;
}

const TEXT = 'text/plain; charset=utf-8';

/** Serves the figures on all interfaces. Throws CONFIG_INVALID when the port cannot be had. */
export async function startMetricsEndpoint(metrics: Metrics, port: number): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => void answer(metrics, request, response));
  await listen(server, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const message = `TOLLBOOK_METRICS_PORT is ${port}: it cannot be listened on (${error.message})`;
      reject(new TollbookError('CONFIG_INVALID', message, { cause: error }));
    });
    server.listen(port, resolve);
  });
}

async function answer(metrics: Metrics, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?', 1);
  if (path !== '/metrics' && path !== '/healthz') {
    reply(response, 404, 'there is /metrics and /healthz\n');
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    reply(response, 405, 'allowed: GET\n', { allow: 'GET, HEAD' });
  } else if (path === '/healthz') {
    reply(response, 200, 'ok\n');
  } else {
    const { text, contentType } = await metrics.read();
    reply(response, 200, text, { 'content-type': contentType });
  }
}

function reply(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': TEXT, ...headers }).end(text);
}
