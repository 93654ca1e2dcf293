/** Owns: the figures of a process, their endpoint, and the setting that opens it. */
import { expect } from 'chai';
import { type Environment, loadConfig } from '../../../src/runtime/config.js';
import { isTollbookError } from '../../../src/runtime/errors.js';
import { type ChunkCounts, Metrics } from '../../../src/runtime/metrics.js';
import { type MetricsEndpoint, startMetricsEndpoint } from '../../../src/runtime/metrics-endpoint.js';

const COUNTS: ChunkCounts = { charged: 5, duplicates: 2, superseded: 0, skipped: 1, unpriced: 1, deadLetters: 3 };

async function linesOf(metrics: Metrics): Promise<string[]> {
  return (await metrics.read()).text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('the figures of a process', () => {
  it('add up what became of the messages of each topic, and how long its chunks took', async () => {
    const metrics = new Metrics();
    metrics.addChunk({ topic: 'usage.completed', counts: COUNTS, seconds: 0.02 });
    metrics.addChunk({ topic: 'usage.completed', counts: COUNTS, seconds: 0.2 });
    metrics.addChunk({ topic: 'usage.pending', counts: { ...COUNTS, charged: 1 }, seconds: 0.02 });
    const lines = await linesOf(metrics);
    expect(lines).to.include.members([
      'tollbook_messages_total{topic="usage.completed",outcome="charged"} 10',
      'tollbook_messages_total{topic="usage.completed",outcome="duplicates"} 4',
      'tollbook_messages_total{topic="usage.completed",outcome="dead_letters"} 6',
      'tollbook_messages_total{topic="usage.pending",outcome="charged"} 1',
      'tollbook_chunk_seconds_bucket{le="0.025"} 2',
      'tollbook_chunk_seconds_bucket{le="0.25"} 3',
      'tollbook_chunk_seconds_count 3',
    ]);
    expect(lines.join('\n')).to.not.include('superseded');
  });

  it('tell what a projector has done as it is when somebody asks', async () => {
    const metrics = new Metrics();
    const stats = { projected: 3, failures: 1, ahead: 0 };
    metrics.watchProjections(() => stats);
    expect(await linesOf(metrics)).to.include('tollbook_projections_total 3');
    stats.projected = 8;
    metrics.addLeakedHolds(2);
    expect(await linesOf(metrics)).to.include.members([
      'tollbook_projections_total 8',
      'tollbook_projection_failures_total 1',
      'tollbook_hash_ahead_total 0',
      'tollbook_leaked_holds_total 2',
    ]);
  });

  it('leave out a figure that cannot be read, or not in time, and keep all others', async () => {
    const metrics = new Metrics();
    const lag = { labels: { topic: 'usage.completed' }, value: 7 };
    const answers = [
      () => Promise.resolve([lag]),
      () => Promise.reject(new Error('Kafka is away')),
      () => new Promise<(typeof lag)[]>(() => undefined),
    ];
    metrics.watchGauge({ name: 'tollbook_stream_lag', help: 'Lag.', labelNames: ['topic'] }, () => answers.shift()!());
    expect(await linesOf(metrics)).to.include('tollbook_stream_lag{topic="usage.completed"} 7');
    for (const _why of ['refused', 'silent']) {
      const lines = await linesOf(metrics);
      expect(lines.filter((line) => line.startsWith('tollbook_stream_lag'))).to.deep.equal([]);
      expect(lines).to.include('tollbook_leaked_holds_total 0');
    }
  });

  it('of two processes in one are apart', async () => {
    const [one, two] = [new Metrics(), new Metrics()];
    one.addLeakedHolds(1);
    expect(await linesOf(two)).to.include('tollbook_leaked_holds_total 0');
  });
});

describe('the metrics endpoint', () => {
  let endpoint: MetricsEndpoint;
  let status: string;

  const start = (port: number, host = '127.0.0.1'): Promise<MetricsEndpoint> =>
    startMetricsEndpoint({ metrics: new Metrics(), readiness: () => Promise.resolve({ status }), host, port });

  beforeEach(async () => {
    endpoint = await start(0);
  });

  afterEach(() => endpoint.close());

  const get = (path: string, method = 'GET'): Promise<Response> =>
    fetch(`http://127.0.0.1:${endpoint.port}${path}`, { method });

  it('serves the figures in the format of Prometheus', async () => {
    const response = await get('/metrics?x=1');
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.equal('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).to.include('# TYPE tollbook_messages_total counter');
  });

  it('says that the process lives, and no longer that it is well: that is a question of its own', async () => {
    const response = await get('/livez');
    expect([response.status, await response.text()]).to.deep.equal([200, 'ok\n']);
    expect((await get('/healthz')).status).to.equal(404);
  });

  for (const [word, code] of [
    ['ready', 200],
    ['degraded', 200],
    ['not_ready', 503],
  ] as const) {
    it(`answers ${code} with the whole document where the process is ${word}`, async () => {
      status = word;
      const response = await get('/readyz');
      expect(response.status).to.equal(code);
      expect(await response.json()).to.deep.equal({ status: word });
    });
  }

  it('is served to this machine alone, unless another address is set', async () => {
    await endpoint.close();
    const elsewhere = await start(0, '127.0.0.2');
    const reached = await fetch(`http://127.0.0.2:${elsewhere.port}/livez`);
    expect(reached.status).to.equal(200);
    const refused = await fetch(`http://127.0.0.1:${elsewhere.port}/livez`).catch((error: unknown) => error);
    expect(refused).to.be.an.instanceOf(TypeError);
    await elsewhere.close();
  });

  it('knows no other path and no other method', async () => {
    expect((await get('/')).status).to.equal(404);
    expect((await get('/metrics', 'POST')).status).to.equal(405);
  });

  it('closes although a client keeps its connection open', async () => {
    await get('/livez');
    await endpoint.close();
    const refused = await get('/livez').catch((error: unknown) => error);
    expect(refused).to.be.an.instanceOf(TypeError);
  });

  it('cannot be had on a port that is taken, and the error names the setting', async () => {
    const error = await start(endpoint.port).catch((found: unknown) => found);
    expect(isTollbookError(error, 'CONFIG_INVALID') && error.message).to.match(
      new RegExp(`^TOLLBOOK_METRICS_PORT is ${endpoint.port}: .*EADDRINUSE`),
    );
  });
});

describe('the setting TOLLBOOK_METRICS_PORT', () => {
  const COMPLETE: Environment = {
    KAFKA_BROKERS: 'kafka:9092',
    DATABASE_URL: 'postgres://db/tollbook',
    REDIS_URL: 'redis://redis',
  };

  it('is a port, 0 for any free one, or nothing', () => {
    const portOf = (text: string): number | undefined =>
      loadConfig({ ...COMPLETE, TOLLBOOK_METRICS_PORT: text }).metricsPort;
    expect([portOf('9464'), portOf('0'), portOf('')]).to.deep.equal([9464, 0, undefined]);
  });

  for (const text of ['65536', '-1', 'http']) {
    it(`is refused as ${text}`, () => {
      expect(() => loadConfig({ ...COMPLETE, TOLLBOOK_METRICS_PORT: text })).to.throw(/TOLLBOOK_METRICS_PORT is "?/);
    });
  }
});
