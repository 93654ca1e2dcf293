/**
 * Owns: which part of the topics a reconciliation compares: what was asked for, what Kafka still has, what the ledger has
 * charged; that traffic may go on meanwhile; and that an interrupted run goes on to the same digests.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { acceptGap } from '../../src/ledger/postgres/stream-gaps.js';
import type { ReconcileResult } from '../../src/reconciliation/reconcile/reconcile.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { forgeOnce } from '../support/forgery.js';
import { briefly, ReconcileWorld } from '../support/reconcile-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { completion, pending, type WireEvent } from '../support/usage-messages.js';
import { waitUntil } from '../support/wait-until.js';

const LONG_AGO_MS = 3_600_000;
const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

describe('the part of the topics that is reconciled', function () {
  this.timeout(120_000);
  let world: ReconcileWorld;

  beforeEach(async () => {
    world = await ReconcileWorld.open();
  });
  afterEach(() => world.close());

  const events = (count: number, first = 0, fields: WireEvent = {}): WireEvent[] =>
    Array.from({ length: count }, (_, index) => completion('acme', `t-${first + index}`, fields));
  const compared = ({ state }: ReconcileResult): number =>
    state.ranges.reduce((sum, { counts }) => sum + counts.messages, 0);
  const digestsOf = ({ state }: ReconcileResult): string[] => state.ranges.map(({ actualDigest }) => actualDigest);

  async function deleteBefore(offset: number): Promise<void> {
    const { topic } = world.source('completed');
    await world.ledger.admin.fetchTopicOffsets(topic); // kafkajs has to know the topic
    await world.ledger.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
  }

  async function corrupt(traceId: string): Promise<void> {
    await forgeOnce(world.ledger.database, [
      `UPDATE ledger_entries SET amount = amount + 1 WHERE trace_id = '${traceId}' AND status = 'COMMITTED'`,
    ]);
  }

  it('is cut to offsets, wherever batches begin, and sees nothing beyond them', async () => {
    await world.publish('completed', events(50));
    await world.charge({ chunk: 20 });
    await corrupt('t-25');
    for (const [from, to, messages] of [
      [0n, 25n, 25],
      [26n, 50n, 24],
      [3n, 3n, 0],
    ] as const) {
      const result = await world.compare({ fromOffset: from, toOffset: to });
      expect(result.verdict).to.equal('equal');
      expect(compared(result)).to.equal(messages);
    }
    const found = await world.findings({ fromOffset: 25n, toOffset: 26n });
    expect(briefly(found)).to.deep.equal(['different completed/0/25 amount']);
  });

  it('is cut to partitions and to topics', async () => {
    await world.publish('completed', events(5));
    await world.publish('completed', events(5, 5), 1);
    await world.publish('pending', [pending('acme', 'hold')]);
    await world.charge();
    await corrupt('t-2');
    const [pendings] = [{ topic: world.source('pending').topic, kind: 'pending' as const }];
    expect((await world.compare({ partitions: [1] })).verdict).to.equal('equal');
    expect((await world.compare({ topics: [pendings] })).verdict).to.equal('equal');
    expect(briefly(await world.findings({ partitions: [0] }))).to.deep.equal(['different completed/0/2 amount']);
    const problem: unknown = await world.compare({ partitions: [7] }).catch((error: unknown) => error);
    expect(isTollbookError(problem, 'USAGE_INVALID')).to.equal(true);
  });

  it('is cut to times of Kafka', async () => {
    await world.publish('completed', events(5));
    const before = await lastTimestamp();
    await waitUntil('a new millisecond begins', () => Date.now() > before + 1);
    const betweenMs = Date.now();
    await waitUntil('another millisecond begins', () => Date.now() > betweenMs + 1);
    await world.publish('completed', events(7, 5));
    await world.charge();
    expect(compared(await world.compare({ sinceMs: betweenMs }))).to.equal(7);
    expect(compared(await world.compare({ untilMs: betweenMs }))).to.equal(5);
    expect(compared(await world.compare({ sinceMs: 0, untilMs: betweenMs }))).to.equal(5);
    expect(compared(await world.compare({ sinceMs: Date.now() + 60_000 }))).to.equal(0);
  });

  async function lastTimestamp(): Promise<number> {
    const reader = world.reader.partition(world.source('completed'), { from: 0n, bytesMax: 1_000_000 });
    const { messages } = await reader.take(5n);
    return messages.at(-1)!.timestampMs;
  }

  it('names what Kafka no longer has, and is incomplete only when that was asked for by number', async () => {
    await world.publish('completed', events(20));
    await world.charge();
    await deleteBefore(8);
    const rest = await world.compare();
    expect(rest.verdict).to.equal('equal');
    expect(compared(rest)).to.equal(12);
    expect(rest.state.ranges[2]?.range.expired).to.deep.equal({ from: 0n, to: 8n });
    expect((await world.compare({ fromOffset: 0n })).verdict).to.equal('incomplete');
    expect((await world.compare({ fromOffset: 8n })).verdict).to.equal('equal');
  });

  it('names what Kafka removed before it was charged, until an operator has accepted the loss', async () => {
    await world.publish('completed', events(5));
    await world.charge();
    await world.publish('completed', events(10, 5));
    await deleteBefore(9);
    expect(briefly(await world.findings())).to.deep.equal(['lost completed/0/5-8']);
    await acceptGap(world.ledger.pool, { source: world.source('completed'), toOffset: 9n, actor: 'ops', reason: '-' });
    await world.charge();
    await world.expectEqual();
  });

  it('ends where the logs ended when it began, while a consumer charges on', async () => {
    const plan = await planSimulation({ seed: 3, requests: 1_500, tenants: 10 });
    await world.ledger.credit(plan);
    const consumer = await world.ledger.start({ config: { chunkMessagesMax: 50 } });
    const publishing = world.ledger.publish(plan, { ratePerSecond: 400 });
    const seen: number[] = [];
    const done = { isPublished: false };
    void publishing.finally(() => (done.isPublished = true));
    while (!done.isPublished) {
      const result = await world.compare();
      expect(result.state.findings).to.deep.equal([]);
      seen.push(compared(result));
    }
    await publishing;
    await world.ledger.drain();
    await world.ledger.stop(consumer);
    expect(compared(await world.expectEqual())).to.equal(plan.expectation.published.total);
    expect(seen).to.deep.equal([...seen].sort((one, other) => one - other));
    expect(seen.length).to.be.at.least(2);
  });

  it('names the numbers of a producer that are in no topic, and none that may still be on their way', async () => {
    const gateway = (instance: string, seqs: readonly number[]): WireEvent[] =>
      seqs.map((seq) => completion('acme', `${instance}-${seq}`, { producer: { instance, epoch: 1, seq } }));
    await world.publish('completed', gateway('gw-1', [0, 1, 4, 5]), 0, LONG_AGO_MS);
    await world.publish('completed', [...gateway('gw-1', [7]), ...gateway('gw-2', [1])], 1, LONG_AGO_MS);
    await world.publish('completed', gateway('gw-1', [9]));
    await world.charge();
    await world.publish('completed', gateway('gw-1', [6]));
    const found = await world.findings();
    expect(found.map(({ kind, at, finding }) => [kind, at, finding.replace(/ of producer.*/, '')])).to.deep.equal([
      ['producerGap', 'gw-1 epoch 1', 'numbers 2 to 3'],
      ['producerGap', 'gw-2 epoch 1', 'number 0'],
    ]);
    const { producers } = await world.compare({ partitions: [0] });
    expect(producers).to.deep.include({ judged: false });
  });

  it('names no number that was published later after all, or that an operator accepted as lost', async () => {
    const numbered = (seqs: readonly number[]): WireEvent[] =>
      seqs.map((seq) => completion('acme', `t-${seq}`, { producer: { instance: 'gw-1', epoch: 1, seq } }));
    const gaps = async (): Promise<string[]> =>
      (await world.findings()).map(({ finding }) => finding.replace(/ of producer.*/, ''));
    await world.publish('completed', numbered([0, 2, 9]), 0, LONG_AGO_MS);
    await world.charge();
    expect(await gaps()).to.deep.equal(['number 1', 'numbers 3 to 8']);
    await world.publish('completed', numbered([1]));
    await world.charge();
    expect(await gaps()).to.deep.equal(['numbers 3 to 8']);
    const accept = (from: number, to: number): Promise<CliResult> => {
      const numbers = ['--instance', 'gw-1', '--epoch', '1', '--from', String(from), '--to', String(to)];
      const signed = [...numbers, '--actor', 'ops', '--reason', 'the gateway crashed'];
      return runTollbook(['producers', 'accept-gap', ...signed], { DATABASE_URL: world.ledger.database.url });
    };
    expect((await accept(4, 5)).stdout).to.include('accepted the loss of 2 events: numbers 4 to 5 of producer gw-1');
    expect(await gaps()).to.deep.equal(['number 3', 'numbers 6 to 8']);
    expect((await accept(3, 4)).stderr).to.include('USAGE_INVALID: numbers 3 to 4 of producer gw-1 epoch 1');
    expect((await accept(8, 6)).stderr).to.include('--to: found 6, allowed: 8');
    await accept(3, 3);
    await accept(6, 8);
    const { verdict, producers } = await world.compare();
    expect(verdict).to.equal('equal');
    expect(producers).to.deep.include({ judged: true, gaps: 0, accepted: 6 });
  });

  it('ends on the largest number there is, names it as a jump, and judges the other producers', async () => {
    const numbered = (instance: string, seq: number): WireEvent =>
      completion('acme', `${instance}-${seq}`, { producer: { instance, epoch: 1, seq } });
    const strange = [numbered('gw-1', 0), numbered('gw-1', Number.MAX_SAFE_INTEGER), numbered('gw-2', 1)];
    await world.publish('completed', strange, 0, LONG_AGO_MS);
    await world.charge();
    const found = await world.findings();
    expect(found.map(({ kind, at, finding }) => [kind, at, finding.includes('too many for a loss')])).to.deep.equal([
      ['producerGap', 'gw-1 epoch 1', true],
      ['producerGap', 'gw-2 epoch 1', false],
    ]);
  });

  it('claims no gap among numbers whose beginning Kafka no longer has', async () => {
    const numbered = (seq: number): WireEvent => ({ producer: { instance: 'gw', epoch: 1, seq } });
    const events = [0, 1, 2, 4].map((seq) => completion('acme', `t-${seq}`, numbered(seq)));
    await world.publish('completed', events, 0, LONG_AGO_MS);
    await world.charge();
    await deleteBefore(2);
    const found = await world.findings();
    expect(found.map(({ finding }) => finding.replace(/ of producer.*/, ''))).to.deep.equal(['number 3']);
  });

  describe('when a run is interrupted', () => {
    let folder: string;

    beforeEach(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'tollbook-reconcile-'));
    });
    afterEach(() => rm(folder, { recursive: true, force: true }));

    it('goes on from its file after any window, to the same digests and findings', async () => {
      await world.publish('completed', events(9_000));
      await world.publish(
        'pending',
        Array.from({ length: 3_000 }, (_, index) => pending('acme', `t-${index}`)),
      );
      await world.charge({ chunk: 500 });
      await corrupt('t-100');
      await corrupt('t-8000');
      const whole = await world.compare();
      const resumeFile = path.join(folder, 'run.json');
      let windows = 0;
      const interrupted = { resumeFile, keepEveryMs: 0, onProgress: (): void => interruptAt((windows += 1)) };
      let result: ReconcileResult | undefined;
      for (let attempts = 0; result === undefined; attempts += 1) {
        result = await world.compare({}, interrupted).catch(() => undefined);
        expect(attempts).to.be.below(20);
      }
      expect(windows).to.be.above(5);
      expect(digestsOf(result)).to.deep.equal(digestsOf(whole));
      expect(result.state.findings).to.deep.equal(whole.state.findings);
      expect(result.state.ranges.map(({ counts }) => counts)).to.deep.equal(
        whole.state.ranges.map(({ counts }) => counts),
      );
      expect(existsSync(resumeFile)).to.equal(false);
    });

    /** Every second window ends a run. */
    function interruptAt(window: number): void {
      if (window % 2 === 0) throw new RangeError('the operator pulls the plug');
    }

    it('goes on after SIGKILL', async () => {
      await world.publish('completed', events(9_000));
      await world.charge({ chunk: 1_000 });
      const resumeFile = path.join(folder, 'run.json');
      const child = spawn(process.execPath, [MAIN, 'reconcile', '--json', '--resume', resumeFile], {
        env: { ...process.env, ...world.ledger.environment },
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => child.once('close', resolve));
      await waitUntil('the run is kept', () => existsSync(resumeFile) || child.exitCode !== null);
      child.kill('SIGKILL');
      await ended;
      const { state } = JSON.parse(await readFile(resumeFile, 'utf8')) as { state: { startedAt: string } };
      const { exitCode, stdout, stderr } = await world.reconcileCommand('--json', '--resume', resumeFile);
      expect(exitCode, stderr).to.equal(0);
      expect(JSON.parse(stdout)).to.deep.include({ startedAt: state.startedAt, verdict: 'equal' });
    });

    it('refuses the file of another run, and one that is none', async () => {
      const resumeFile = path.join(folder, 'run.json');
      await writeFile(resumeFile, '{}');
      const unreadable: unknown = await world.compare({}, { resumeFile }).catch((error: unknown) => error);
      expect(isTollbookError(unreadable, 'FILE_UNREADABLE')).to.equal(true);
      await writeFile(resumeFile, JSON.stringify({ format: 1, request: 'other', clusterId: 'c', state: {} }));
      const other: unknown = await world.compare({}, { resumeFile }).catch((error: unknown) => error);
      expect(isTollbookError(other, 'USAGE_INVALID')).to.equal(true);
    });
  });
});
