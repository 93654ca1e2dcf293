/**
 * Owns: that anchors show what a ledger by itself cannot: that the end of a chain was cut off, or grew again as another;
 * and that a chain which contradicts its anchor is not anchored anew unless someone answers for it.
 */
import { expect } from 'chai';
import type { Chunk } from '../../src/consumers/charge-protocol.js';
import type { SealedBatch } from '../../src/ledger/batch.js';
import { rowsThrough } from '../../src/ledger/postgres/anchor-rows.js';
import type { Anchor } from '../../src/reconciliation/anchor.js';
import {
  newestAnchors,
  publishHeads,
  type PublishedHeads,
  type ReplaceOrder,
} from '../../src/reconciliation/anchor-heads.js';
import { AnchorPublisher } from '../../src/reconciliation/anchor-publisher.js';
import { verifyLedger, type VerifyReport } from '../../src/reconciliation/verify-ledger.js';
import { Forgery } from '../support/forgery.js';
import { MemoryAnchors } from '../support/memory-anchors.js';
import { batchOf, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { waitUntil } from '../support/wait-until.js';
import { wireCompleted } from '../support/wire-usage.js';

const REPLACE = { actor: 'ops', reason: 'restored from the backup of Sunday' };

describe('the anchors of a ledger', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let forgery: Forgery;
  let completed: TestStream;
  let sink: MemoryAnchors;
  /** The last chunk of the stream, and the batch it became, which is anchored. */
  let chunk: Chunk;
  let last: SealedBatch;

  before(async () => {
    world = await ProtocolWorld.open();
    completed = world.stream('completed');
    for (const tenantId of ['acme', 'bolt']) await world.credit(tenantId, '100');
    await charge(['a', 'b']);
    await charge(['c']);
    chunk = completed.chunk(['d', 'e'].map((traceId) => wireCompleted({ tenantId: 'acme', traceId, units: 3 })));
    last = batchOf(await world.protocol().charge(chunk));
    forgery = await Forgery.open(world.database);
  });
  after(async () => {
    await forgery.close();
    await world.close();
  });
  beforeEach(async () => {
    sink = new MemoryAnchors();
    await publish();
  });
  afterEach(() => forgery.restore());

  async function charge(traceIds: readonly string[]): Promise<void> {
    const events = traceIds.map((traceId) => wireCompleted({ tenantId: 'acme', traceId, units: 1 }));
    batchOf(await world.protocol().charge(completed.chunk(events)));
  }

  async function publish(replace?: ReplaceOrder): Promise<PublishedHeads> {
    const known = await newestAnchors(sink);
    return publishHeads({ rows: rowsThrough(world.pool), clock: world.clock }, { sink, known, replace });
  }

  async function verify(withAnchors = true): Promise<VerifyReport> {
    const anchors = withAnchors ? await sink.freeze() : undefined;
    return verifyLedger(world.pool, { scope: { kind: 'full' }, problemsMax: 10, anchors });
  }

  const messagesOf = ({ problems }: VerifyReport): string[] => problems.map(({ message }) => message);
  const nameOf = ({ source, batchNo }: Pick<SealedBatch, 'source' | 'batchNo'>): string =>
    `batch ${source.topic}/${source.partition}#${batchNo}`;

  /** Removes the last batch with its entries, turns the cursor back, and brings the account in line. */
  async function cutOff(): Promise<void> {
    const { topic, partition } = last.source;
    const chain = `topic = '${topic}' AND partition = ${partition}`;
    await forgery.forge([
      `DELETE FROM ledger_entries WHERE batch_id = ${last.batchId}`,
      `DELETE FROM ledger_batches WHERE batch_id = ${last.batchId}`,
      `UPDATE stream_cursors c SET batch_no = b.batch_no, head = b.hash, next_offset = b.next_offset
       FROM ledger_batches b WHERE b.topic = c.topic AND b.partition = c.partition AND c.${chain.replace('AND ', 'AND c.')}
         AND b.batch_no = ${last.batchNo - 1}`,
      `UPDATE accounts a SET seq = seq - 2, balance = balance + 6, daily_used = daily_used - 2, monthly_used = monthly_used - 2
       WHERE tenant_id = 'acme'`,
    ]);
  }

  it('hold the head of every chain, and lie on them', async () => {
    const { source, batchNo, hash, nextOffset, sealedAt } = last;
    expect(sink.anchors).to.have.length(3);
    expect(sink.anchors.find((anchor) => anchor.source.topic === source.topic)).to.deep.equal({
      ...{ source, batchNo, hash: hash.toString('hex'), nextOffset, sealedAt },
      ...{ anchoredAt: new Date(world.clock.nowMs()).toISOString(), clusterId: 'test-cluster' },
    });
    expect(await verify()).to.deep.include({
      problems: [],
      anchors: { checked: 3, newest: sink.anchors[0]!.anchoredAt, unanchored: [], replaced: [] },
    });
  });

  it('are not published again while nothing has changed', async () => {
    expect(await publish()).to.deep.equal({ published: [], unchanged: 3, broken: [] });
    expect(sink.anchors).to.have.length(3);
  });

  it('name a tail that was cut off, which the ledger by itself does not show', async () => {
    await cutOff();
    expect(messagesOf(await verify(false))).to.deep.equal([]);
    expect(messagesOf(await verify())).to.deep.equal([
      `${nameOf(last)} was anchored at ${sink.anchors[0]!.anchoredAt} and is not there: the chain ends at #2, its tail was cut off`,
    ]);
  });

  it('name a chain that grew again after its tail was cut off', async () => {
    await cutOff();
    world.clock.atMs += 1_000;
    const grown = batchOf(await world.protocol().charge(chunk));
    expect(grown.batchNo).to.equal(last.batchNo);
    expect(messagesOf(await verify(false))).to.deep.equal([]);
    expect(messagesOf(await verify())).to.deep.equal([
      `${nameOf(last)} has another hash than the one anchored at ${sink.anchors[0]!.anchoredAt}, ` +
        `${last.hash.toString('hex')}: the chain was rewritten`,
    ]);
  });

  it('make one finding of a chain, however many of them it contradicts', async () => {
    const anchor = sink.anchors.find(({ source }) => source.topic === last.source.topic)!;
    for (const batchNo of [4, 5, 6, 7]) sink.anchors.push({ ...anchor, batchNo });
    await cutOff();
    const messages = messagesOf(await verify());
    expect(messages).to.have.length(1);
    expect(messages[0])
      .to.include(`${nameOf(last)} was anchored`)
      .and.include('and 4 more anchors of the chain');
  });

  it('are not put in the place of one that the chain contradicts, so that it stays to be seen', async () => {
    await cutOff();
    const { published, broken } = await publish();
    expect(published).to.deep.equal([]);
    expect(broken.map(({ anchor, found }) => [nameOf(anchor), found])).to.deep.equal([[nameOf(last), 'missing']]);
    expect((await verify()).problemCount).to.equal(1);
  });

  it('are replaced when somebody answers for it, and verifying tells who did', async () => {
    await cutOff();
    const contradicted = sink.anchors.find(({ source }) => source.topic === last.source.topic)!;
    const { published, broken } = await publish(REPLACE);
    const { batchNo, hash } = contradicted;
    expect(broken).to.deep.equal([]);
    expect(published.map(({ replacement }) => replacement)).to.deep.equal([{ batchNo, hash, ...REPLACE }]);
    const report = await verify();
    expect(report.problems).to.deep.equal([]);
    expect(report.anchors?.replaced).to.deep.equal(published);
    world.clock.atMs += 1_000;
    await world.protocol().charge(chunk);
    expect((await publish()).published.map((anchor) => anchor.batchNo)).to.deep.equal([last.batchNo]);
    expect((await verify()).problems).to.deep.equal([]);
  });

  it('are published in rounds, which go on after the place was away, and which leave a broken chain as it is', async () => {
    sink = new MemoryAnchors();
    sink.isAway = true;
    const ports = { rows: rowsThrough(world.pool), clock: world.clock, logger: world.logger };
    const publisher = new AnchorPublisher({ ...ports, sinks: [sink], intervalMs: 10 });
    const logged = (what: string): Promise<void> =>
      waitUntil(`it is logged that ${what}`, () => world.logLines.some((line) => line.includes(what)));
    publisher.start();
    try {
      await logged('chain heads are not anchored for now');
      sink.isAway = false;
      await logged('chain heads are anchored again');
      expect(sink.anchors).to.have.length(3);
      await cutOff();
      await logged('a chain contradicts its last anchor');
    } finally {
      await publisher.stop();
    }
    expect(sink.anchors).to.have.length(3);
    expect(world.logLines.filter((line) => line.includes('not anchored for now'))).to.have.length(1);
  });

  it('that are nowhere to be found are a finding, and a chain without any is told', async () => {
    const of = (topic: string): Anchor => sink.anchors.find(({ source }) => source.topic === topic)!;
    const one = of('usage.completed');
    sink.anchors.splice(0, sink.anchors.length, one);
    expect((await verify()).anchors?.unanchored).to.have.length(2);
    sink.anchors.splice(0, 1);
    expect(messagesOf(await verify())).to.deep.equal([
      'no anchor was found in memory: nothing there vouches for the chains',
    ]);
  });
});
