/** Owns: the figures that a real `tollbook consume` serves while it charges real messages. */
import { expect } from 'chai';
import { type ConsumeChild, killConsumers, startConsume } from '../support/consume-child.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { completions, completion, messageOf, send } from '../support/usage-messages.js';

const GOOD = 5;

describe('the metrics of tollbook consume', function () {
  this.timeout(60_000);
  let world: LedgerWorld;
  let child: ConsumeChild;

  before(async () => {
    world = await LedgerWorld.create({ partitions: 1 });
    const internal = completion('acme', 'internal', { skip_reason: 'a test of ours' });
    await send(world.kafka, world.config.topicCompleted, [
      ...completions('acme', GOOD, { partition: 0 }),
      ...completions('acme', 2, { partition: 0 }),
      messageOf(internal, 0),
      { key: 'acme', value: '{', partition: 0 },
    ]);
    child = startConsume({ ...world.environment, TOLLBOOK_METRICS_PORT: '0' });
  });

  after(async () => {
    killConsumers();
    await world.close();
  });

  async function urlOf(path: string): Promise<string> {
    let port: string | undefined;
    await world.until('the child has logged its port', () => {
      port = /"metricsPort":(\d+)/.exec(child.log())?.[1];
      return port !== undefined;
    });
    return `http://127.0.0.1:${port ?? ''}${path}`;
  }

  it('are served with what became of every message, how long it took, the projections and the lag', async () => {
    await world.until('everything is charged', async () => (await world.lag()) === 0n);
    const url = await urlOf('/metrics');
    let text = '';
    await world.until('the tenant is projected', async () => {
      text = await (await fetch(url)).text();
      return /^tollbook_projections_total [1-9]/m.test(text);
    });
    const { topicCompleted: topic, topicPending } = world.config;
    for (const [outcome, messages] of Object.entries({ charged: GOOD, duplicates: 2, skipped: 1, dead_letters: 1 })) {
      expect(text).to.include(`\ntollbook_messages_total{topic="${topic}",outcome="${outcome}"} ${messages}\n`);
    }
    expect(text).to.match(/\ntollbook_chunk_seconds_count [1-9]\d*\n/);
    expect(text).to.include(`\ntollbook_stream_lag{topic="${topic}"} 0\n`);
    expect(text).to.include(`\ntollbook_stream_lag{topic="${topicPending}"} 0\n`);
    for (const name of ['projection_failures_total 0', 'hash_ahead_total 0', 'leaked_holds_total 0']) {
      expect(text).to.include(`\ntollbook_${name}\n`);
    }
    expect(text).to.include('\nprocess_resident_memory_bytes ').and.to.include('\nnodejs_eventloop_lag_seconds ');
  });

  it('answer the supervisor while the process runs, and end with it', async () => {
    const url = await urlOf('/livez');
    expect((await fetch(url)).status).to.equal(200);
    child.kill('SIGTERM');
    expect(await child.ended, child.log()).to.equal(0);
    const refused = await fetch(url).catch((error: unknown) => error);
    expect(refused).to.be.an.instanceOf(TypeError);
  });

  it('are not served without the setting', async () => {
    const silent = startConsume(world.environment);
    await world.until('the child runs', () => silent.log().includes('joined the consumer group'));
    expect(silent.log()).to.not.include('metricsPort');
    silent.kill('SIGTERM');
    expect(await silent.ended, silent.log()).to.equal(0);
  });
});
