/**
 * Owns: that a reconciliation catches a consumer with a planted bug, and that a repair sends what was dropped through the
 * charge protocol: once, whoever else charges meanwhile, and never what was charged before.
 */
import { expect } from 'chai';
import type { Chunk } from '../../src/consumers/charge-protocol.js';
import type { RepairDocument } from '../../src/cli/reconcile-repair.js';
import { letterName } from '../../src/ledger/dead-letter.js';
import type { ReconcileReport } from '../../src/reconciliation/reconcile/report.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { forgeOnce } from '../support/forgery.js';
import { assertTenantsAsPlanned } from '../support/planned-tenants.js';
import { briefly, ReconcileWorld } from '../support/reconcile-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { completion, pending } from '../support/usage-messages.js';

type RunDocument = ReconcileReport & { readonly repair?: RepairDocument; readonly afterRepair?: ReconcileReport };

const SIGNED = ['--actor', 'ops', '--reason', 'planted bug', '--json'];

describe('reconciling a consumer with a planted bug', function () {
  this.timeout(180_000);
  let world: ReconcileWorld;

  beforeEach(async () => {
    world = await ReconcileWorld.open();
  });
  afterEach(() => world.close());

  /** Runs `tollbook reconcile … --json`. */
  async function run(...args: readonly string[]): Promise<{ exitCode: number | null; document: RunDocument }> {
    const { exitCode, stdout, stderr } = await world.reconcileCommand(...args);
    if (stdout === '') expect.fail(stderr);
    return { exitCode, document: JSON.parse(stdout) as RunDocument };
  }

  /** Drops every message of which `drops` says so; notes where it was. */
  function dropping(drops: (offset: bigint, index: number) => boolean): {
    spoil: (chunk: Chunk) => Chunk;
    at: string[];
  } {
    const at: string[] = [];
    let messages = 0;
    const spoil = (chunk: Chunk): Chunk => ({
      ...chunk,
      messages: chunk.messages.filter(({ kafkaOffset }) => {
        messages += 1;
        const isDropped = drops(kafkaOffset, messages);
        if (isDropped) at.push(letterName({ ...chunk.source, kafkaOffset }));
        return !isDropped;
      }),
    });
    return { spoil, at };
  }

  async function ledgerText(): Promise<string> {
    const tables = ['ledger_entries', 'accounts', 'ledger_batches', 'stream_cursors', 'open_holds', 'dead_letters'];
    const texts = [...tables, 'skipped_events', 'repaired_messages', 'reconciliation_runs'].map(async (table) => {
      const [row] = await world.ledger.rows<{ text: string | null }>(
        `SELECT string_agg(t::text, E'\n' ORDER BY t::text) AS text FROM ${table} t`,
      );
      return row?.text ?? '';
    });
    return (await Promise.all(texts)).join('\n');
  }

  async function expectVerified(): Promise<void> {
    const { exitCode, stdout } = await runTollbook(['verify', '--full', '--json'], world.ledger.environment as never);
    expect(exitCode, stdout).to.equal(0);
  }

  async function charges(tenantId: string): Promise<Record<string, string>> {
    const rows = await world.ledger.rows<{ trace_id: string; count: string }>(
      `SELECT trace_id, count(*) FROM ledger_entries WHERE tenant_id = $1 AND status = 'COMMITTED' AND type = 'DEDUCT'
       GROUP BY trace_id ORDER BY trace_id`,
      [tenantId],
    );
    return Object.fromEntries(rows.map(({ trace_id, count }) => [trace_id, count]));
  }

  it('names every event that a consumer dropped, one in 1,000, and restores what the gateways sent', async () => {
    const plan = await planSimulation({ seed: 7, requests: 4_000, tenants: 20, reorder: 'full', duplicates: 0 });
    await world.ledger.credit(plan);
    await world.ledger.publish(plan);
    const dropped = dropping((_offset, index) => index % 1_000 === 0);
    await world.charge(dropped);
    expect(dropped.at).to.have.lengthOf.at.least(5);

    const first = await run('--json');
    expect(first.exitCode).to.equal(1);
    expect(first.document.findings.byKind).to.include({ missing: dropped.at.length, extra: 0, different: 0 });
    const missing = first.document.findings.listed.filter(({ kind }) => kind === 'missing');
    expect(missing.map(({ at }) => at).sort()).to.deep.equal([...dropped.at].sort());

    const before = await ledgerText();
    const planned = await run('--repair', '--dry-run', ...SIGNED);
    expect(planned.exitCode).to.equal(1);
    expect(planned.document.repair).to.include({ dryRun: true, messages: dropped.at.length });
    expect(await ledgerText()).to.equal(before);

    const repaired = await run('--repair', ...SIGNED);
    expect(repaired.exitCode).to.equal(0);
    expect(repaired.document.repair?.outcomes).to.deep.equal(planned.document.repair?.outcomes);
    expect(repaired.document.afterRepair).to.include({ verdict: 'equal' });
    expect(repaired.document.afterRepair?.counts.repaired).to.equal(dropped.at.length);
    await assertTenantsAsPlanned(world.ledger, plan.expectation);
    await expectVerified();

    const after = await ledgerText();
    const again = await run('--repair', '--actor', 'ops', '--reason', 'again', '--json');
    expect(again.exitCode).to.equal(0);
    expect(again.document).not.to.have.property('repair');
    expect((await ledgerText()).split('\n').length).to.equal(after.split('\n').length + 1);
    const runs = await world.ledger.rows('SELECT kind, actor, reason FROM reconciliation_runs ORDER BY finished_at');
    expect(runs).to.deep.equal([
      { kind: 'repair', actor: 'ops', reason: 'planted bug' },
      { kind: 'reconcile', actor: 'ops', reason: null },
      { kind: 'reconcile', actor: 'ops', reason: 'again' },
    ]);
  });

  it('names an event that a consumer charged twice by changing its trace id, and has nothing to repair', async () => {
    const events = Array.from({ length: 30 }, (_, index) => completion('acme', `t-${index}`));
    await world.publish('completed', events);
    await world.charge({
      spoil: (chunk) => {
        const messages = chunk.messages.flatMap((message) => {
          if (message.kafkaOffset !== 17n) return [message];
          const event = JSON.parse(String(message.value)) as object;
          return [message, { ...message, value: Buffer.from(JSON.stringify({ ...event, trace_id: 't-17-again' })) }];
        });
        return { ...chunk, messages };
      },
    });
    expect(Object.keys(await charges('acme'))).to.include.members(['t-17', 't-17-again']);
    const { exitCode, document } = await run('--repair', ...SIGNED);
    expect(exitCode).to.equal(1);
    expect(briefly(document.findings.listed)).to.deep.equal(['extra completed/0/17']);
    expect(document).not.to.have.property('repair');
  });

  it('repairs whatever a dropped message must have become, each in its own way', async () => {
    const unpriced = { pricing: { input_per_1k: '0.003', currency: 'USD' } };
    await world.credit('acme', '1');
    await world.publish('pending', [pending('acme', 'a'), pending('acme', 'held'), pending('acme', 'b')]);
    await world.publish('completed', [
      ...[completion('acme', 'a'), completion('acme', 'a'), completion('new', 'n'), 'no event'],
      ...[completion('acme', 's', { skip_reason: 'internal' }), completion('acme', 'u', unpriced)],
      ...[completion('acme', 'a', { model: 'other' }), completion('acme', 'b'), completion('acme', 'last')],
    ]);
    const { spoil } = dropping((offset, index) => [2, 3].includes(index) || (index > 4 && offset < 8n));
    await world.charge({ spoil });
    const { exitCode, document } = await run('--repair', ...SIGNED);
    const told = document.repair?.told.map(({ position, outcome, entry }) =>
      [position.replace(/^usage\.|\.[0-9a-f]{12}/g, ''), outcome, entry?.status].join(' '),
    );
    expect(told).to.have.members([
      ...['pending/0/1 charged PENDING', 'pending/0/2 charged PENDING', 'completed/0/1 duplicate '],
      ...['completed/0/2 charged COMMITTED', 'completed/0/3 deadLetter ', 'completed/0/4 skipped '],
      ...['completed/0/5 unpriced ', 'completed/0/6 deadLetter ', 'completed/0/7 charged COMMITTED'],
    ]);
    expect(document.afterRepair?.findings.listed).to.deep.equal([]);
    expect(exitCode).to.equal(0);
    await expectVerified();
  });

  it('never charges twice when two repairs and a consumer that gets the same events race', async () => {
    const events = Array.from({ length: 200 }, (_, index) => completion('acme', `t-${index}`));
    await world.publish('completed', events);
    await world.charge({ spoil: dropping((offset) => offset % 4n === 1n).spoil });
    await world.publish('completed', [...events, ...events], 1);
    const consumer = await world.ledger.start({ config: { chunkMessagesMax: 10 } });
    const [one, other] = await Promise.all([run('--repair', ...SIGNED), run('--repair', ...SIGNED)]);
    await world.ledger.drain();
    await world.ledger.stop(consumer);
    const sent = [one, other].map(
      ({ document: { repair } }) => (repair?.messages ?? 0) - (repair?.repairedBefore ?? 0),
    );
    expect(sent[0]! + sent[1]!).to.equal(50);
    const expected = Object.fromEntries(events.map(({ trace_id }) => [String(trace_id), '1']));
    expect(await charges('acme')).to.deep.equal(expected);
    await world.expectEqual();
    await world.ledger.assertProven();
  });

  it('refuses to send again what was charged and whose row was removed, since the balance still has it', async () => {
    await world.publish(
      'completed',
      ['a', 'b', 'c'].map((traceId) => completion('acme', traceId)),
    );
    await world.charge({ spoil: dropping((offset) => offset === 1n).spoil });
    await forgeOnce(world.ledger.database, [`DELETE FROM ledger_entries WHERE trace_id = 'a'`]);
    const { exitCode, document } = await run('--repair', ...SIGNED);
    expect(exitCode).to.equal(1);
    expect(document.repair).to.include({ messages: 2, refused: 2 });
    expect(await charges('acme')).to.deep.equal({ c: '1' });
  });
});
