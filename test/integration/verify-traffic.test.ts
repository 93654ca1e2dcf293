/** Owns: that a ledger which is written all the time is verified as it stood when verifying began, anchors included. */
import { expect } from 'chai';
import { rowsThrough } from '../../src/ledger/postgres/anchor-rows.js';
import { publishHeads } from '../../src/reconciliation/anchor-heads.js';
import { verifyLedger, type VerifyReport } from '../../src/reconciliation/verify-ledger.js';
import { MemoryAnchors } from '../support/memory-anchors.js';
import { batchOf, ProtocolWorld, type TestStream } from '../support/protocol-world.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const TENANTS = ['acme', 'bolt', 'corp', 'dune'];
const FULL = { scope: { kind: 'full' as const }, problemsMax: 10 };

describe('verifying a ledger that is written all the time', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let streams: { pending: TestStream; completed: TestStream }[];
  let rounds = 0;

  before(async () => {
    world = await ProtocolWorld.open();
    streams = TENANTS.map(() => ({ pending: world.stream('pending'), completed: world.stream('completed') }));
    for (const tenantId of TENANTS) await world.credit(tenantId, '1000');
  });
  after(() => world.close());

  /** Every tenant holds and completes some requests, in a stream of its own, and gets a credit. */
  async function round(): Promise<void> {
    rounds += 1;
    const traces = Array.from({ length: 20 }, (_, index) => `trace-${rounds}-${index}`);
    await Promise.all(
      TENANTS.map(async (tenantId, index) => {
        const { pending, completed } = streams[index]!;
        const holds = traces.map((traceId) => wirePending({ tenantId, traceId, units: 2 }));
        const charges = traces.slice(0, 15).map((traceId) => wireCompleted({ tenantId, traceId, units: 1 }));
        batchOf(await world.protocol().charge(pending.chunk(holds)));
        batchOf(await world.protocol().charge(completed.chunk(charges)));
        await world.credit(tenantId, '1');
      }),
    );
  }

  it('finds nothing, however often it is asked, and sees more of it each time', async () => {
    await round();
    const stop = new AbortController();
    const writing = (async (): Promise<void> => {
      while (!stop.signal.aborted) await round();
    })();
    const reports: VerifyReport[] = [];
    try {
      for (let times = 0; times < 8; times += 1) reports.push(await verifyLedger(world.pool, FULL));
    } finally {
      stop.abort();
      await writing;
    }
    const entries = reports.map((report) => report.entries);
    expect(reports.flatMap(({ problems }) => problems)).to.deep.equal([]);
    expect(entries).to.deep.equal([...entries].sort((one, other) => one - other));
    expect(entries.at(-1)).to.be.greaterThan(entries[0]!);
  });

  it('finds every anchor on its chain while further ones are published', async () => {
    const sink = new MemoryAnchors();
    const known = new Map<string, never>();
    const ports = { rows: rowsThrough(world.pool), clock: world.clock };
    for (let times = 0; times < 5; times += 1) {
      await publishHeads(ports, { sink, known });
      const [before, anchors] = [sink.anchors.length, await sink.freeze()];
      const writing = round().then(() => publishHeads(ports, { sink, known }));
      const report = await verifyLedger(world.pool, { ...FULL, anchors });
      await writing;
      expect(report.problems).to.deep.equal([]);
      expect(report.anchors).to.deep.include({ checked: before, unanchored: [], replaced: [] });
      expect(sink.anchors.length).to.be.greaterThan(before);
    }
  });
});
