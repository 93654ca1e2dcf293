/** Owns: `tollbook reconcile` as a command: its exit codes, its reports, the record of a signed run, and wrong input. */
import { hash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { ReconcileReport } from '../../src/reconciliation/reconcile/report.js';
import { forgeOnce } from '../support/forgery.js';
import { ReconcileWorld } from '../support/reconcile-world.js';
import { completion } from '../support/usage-messages.js';

const EVENTS = 12;

describe('tollbook reconcile', function () {
  this.timeout(120_000);
  let world: ReconcileWorld;
  let folder: string;

  before(async () => {
    world = await ReconcileWorld.open();
    folder = await mkdtemp(path.join(tmpdir(), 'tollbook-report-'));
    await world.publish(
      'completed',
      Array.from({ length: EVENTS }, (_, index) => completion('acme', `t-${index}`)),
    );
    await world.charge();
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
    await world.close();
  });

  async function runs(): Promise<object[]> {
    return world.ledger.rows<object>(
      `SELECT run_id, kind, actor, encode(report_digest, 'hex') AS report, counts->>'messages' AS messages,
         expected_digest = actual_digest AS equal FROM reconciliation_runs`,
    );
  }

  it('ends with 0 on equality, writes a signed report as JSON and Markdown, and records the run in the ledger', async () => {
    const { exitCode, stdout, stderr } = await world.reconcileCommand(
      ...['--report', folder, '--actor', 'auditor', '--json'],
    );
    expect(exitCode, stderr).to.equal(0);
    const report = JSON.parse(stdout) as ReconcileReport;
    const { reportDigest, ...signed } = report;
    expect(report).to.include({ verdict: 'equal', signedBy: 'auditor', notChargedYet: '0' });
    expect(report.digests.actual).to.equal(report.digests.expected);
    expect(report.ranges.map(({ from, to, counts }) => [from, to, counts.messages])).to.deep.equal([
      ...[
        ['0', '0', 0],
        ['0', '0', 0],
      ],
      ...[
        ['0', '12', 12],
        ['0', '0', 0],
      ],
    ]);
    expect(hash('sha256', JSON.stringify(signed), 'hex')).to.equal(reportDigest);
    expect((await readdir(folder)).sort()).to.deep.equal([`${report.runId}.json`, `${report.runId}.md`]);
    expect(JSON.parse(await readFile(path.join(folder, `${report.runId}.json`), 'utf8'))).to.deep.equal(report);
    const markdown = await readFile(path.join(folder, `${report.runId}.md`), 'utf8');
    for (const part of ['**equal**', 'auditor', report.digests.expected, reportDigest, 'entries of usage | 12'])
      expect(markdown).to.include(part);
    const record = { run_id: report.runId, kind: 'reconcile', actor: 'auditor', messages: '12', equal: true };
    expect(await runs()).to.deep.equal([{ ...record, report: reportDigest }]);
  });

  it('writes nothing unless someone signs', async () => {
    const before = await runs();
    const { exitCode, stdout } = await world.reconcileCommand('--topic', world.source('completed').topic);
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/^equal: every message compared is in the ledger/);
    expect(stdout).to.include('12 messages of 2 partitions compared: 12 entries, 1 accounts opened');
    expect(await runs()).to.deep.equal(before);
  });

  it('compares the offsets, partitions and times that are asked for', async () => {
    const messagesOf = async (...args: readonly string[]): Promise<number> => {
      const { exitCode, stdout, stderr } = await world.reconcileCommand(...args, '--json');
      expect(exitCode, stderr).to.equal(0);
      return (JSON.parse(stdout) as ReconcileReport).counts.messages;
    };
    expect(await messagesOf('--from-offset', '3', '--to-offset', '7')).to.equal(4);
    expect(await messagesOf('--partitions', '1')).to.equal(0);
    expect(await messagesOf('--since', '2020-01-01T00:00:00Z', '--until', '2020-01-02T00:00:00Z')).to.equal(0);
  });

  it('ends with 1 when something differs, and says what and what can be done', async () => {
    const statement = `UPDATE ledger_entries SET amount = amount + 1 WHERE trace_id = 't-5'`;
    await forgeOnce(world.ledger.database, [statement]);
    const { exitCode, stdout } = await world.reconcileCommand();
    await forgeOnce(world.ledger.database, [statement.replace('+', '-')]);
    expect(exitCode).to.equal(1);
    expect(stdout).to.match(/^different\n/);
    expect(stdout).to.include('acme#7 of the message at ').and.to.include('amount is 1.006000000, must be 0.006000000');
    expect(stdout).to.include('`tollbook refund acme --entry 7 …`');
  });

  const WRONG: readonly (readonly [args: readonly string[], says: readonly string[]])[] = [
    [
      ['--topic', 'other'],
      ['--topic is other', 'allowed: usage.pending'],
    ],
    [
      ['--partitions', '3-1'],
      ['--partitions', '3-1', '0,3,8-11'],
    ],
    [
      ['--partitions', '9'],
      ['partition 9', 'allowed', '0 to 1'],
    ],
    [
      ['--from-offset', 'x'],
      ['--from-offset', 'x'],
    ],
    [
      ['--from-offset', '5', '--to-offset', '4'],
      ['--to-offset is 4', '--from-offset, which is 5'],
    ],
    [
      ['--from-offset', '5', '--since', '2026-01-01T00:00:00Z'],
      ['--from-offset', '--since'],
    ],
    [
      ['--since', 'yesterday'],
      ['--since', 'yesterday'],
    ],
    [['--dry-run'], ['--dry-run was given alone']],
    [['--reason', 'x'], ['--reason was given alone']],
    [['--repair', '--reason', 'x'], ['--repair needs --actor']],
    [['--repair', '--actor', 'x'], ['--repair needs --reason']],
  ];

  for (const [args, says] of WRONG) {
    it(`refuses ${args.join(' ')} with exit code 2`, async () => {
      const { exitCode, stdout, stderr } = await world.reconcileCommand(...args);
      expect(exitCode, stderr).to.equal(2);
      expect(stdout).to.equal('');
      for (const part of says) expect(stderr).to.include(part);
    });
  }
});
