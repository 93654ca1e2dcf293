/**
 * Owns: serving what a process tells over HTTP: GET /metrics for Prometheus, /livez and /readyz for a supervisor.
 * Does not own: the figures (metrics.ts), what ready means (process/readiness.ts).
 * Invariants:
 * - /livez answers 200 as long as the event loop turns, whatever the servers do: restarting would mend none of them.
 * - /readyz answers 200 when everything is charged, else 503; both with the whole document.
 * - Nothing of a request is read but its method and path; closing waits for no client.
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

/** What is served, and where. */
export interface EndpointOptions {
  readonly metrics: Metrics;
  /** What the process tells of itself; its status `not_ready` becomes 503. Must not reject. */
  readonly readiness: () => Promise<{ readonly status: string }>;
  readonly host: string;
  readonly port: number;
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';
const PATHS = 'there is /livez, /readyz and /metrics\n';

/** Serves what a process tells. Throws CONFIG_INVALID when the address cannot be had. */
export async function startMetricsEndpoint(options: EndpointOptions): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => void answer(options, request, response));
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function listen(server: Server, { host, port }: EndpointOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const message = `TOLLBOOK_METRICS_PORT is ${port}: ${host} cannot be listened on there (${error.message})`;
      reject(new TollbookError('CONFIG_INVALID', message, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
}

async function answer(options: EndpointOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?', 1);
  const serve = PAGES.get(path);
  if (serve === undefined) {
    reply(response, 404, PATHS);
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    reply(response, 405, 'allowed: GET\n', { allow: 'GET, HEAD' });
  } else {
    await serve(options, response);
  }
}

type Page = (options: EndpointOptions, response: ServerResponse) => Promise<void>;

const PAGES: ReadonlyMap<string, Page> = new Map<string, Page>([
  ['/livez', serveLife],
  ['/readyz', serveReadiness],
  ['/metrics', serveMetrics],
]);

function serveLife(_options: EndpointOptions, response: ServerResponse): Promise<void> {
  reply(response, 200, 'ok\n');
  return Promise.resolve();
}

async function serveReadiness({ readiness }: EndpointOptions, response: ServerResponse): Promise<void> {
  const document = await readiness();
  const status = document.status === 'not_ready' ? 503 : 200;
  reply(response, status, `${JSON.stringify(document)}\n`, { 'content-type': JSON_TYPE });
}

async function serveMetrics({ metrics }: EndpointOptions, response: ServerResponse): Promise<void> {
  const { text, contentType } = await metrics.read();
  reply(response, 200, text, { 'content-type': contentType });
}

function reply(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': TEXT, ...headers }).end(text);
}
