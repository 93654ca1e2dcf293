/** Owns: `tollbook verify`, `anchors` and `receipt` as a person and a script call them, with anchors in a topic and a file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { createAnchorTopic } from '../../src/cli/topics-command.js';
import type { SealedBatch } from '../../src/ledger/batch.js';
import { Forgery } from '../support/forgery.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { wireCompleted } from '../support/wire-usage.js';
import { deleteTopics, testKafka, uniqueTopic } from './kafka-topics.js';

/** Nothing that a command which needs a server could reach. */
const NOWHERE = { DATABASE_URL: 'postgres://127.0.0.1:1/none', KAFKA_BROKERS: '127.0.0.1:1' };
const NO_PLACE = { TOLLBOOK_ANCHOR_TOPIC: '', TOLLBOOK_ANCHOR_FILE: '' };

describe('the commands that prove the ledger', function () {
  this.timeout(180_000);
  const kafka = testKafka();
  const topic = uniqueTopic('anchors');
  let folder: string;
  let world: ProtocolWorld;
  let forgery: Forgery;
  let last: SealedBatch;

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'proofs-'));
    world = await ProtocolWorld.open();
    await createAnchorTopic(kafka, topic);
    for (const tenantId of ['acme', 'bolt']) await world.credit(tenantId, '100');
    const completed = world.stream('completed');
    for (const traceIds of [['a', 'b'], ['c'], ['d', 'e']]) {
      const events = traceIds.map((traceId) => wireCompleted({ tenantId: 'acme', traceId, units: 3 }));
      last = batchOf(await world.protocol().charge(completed.chunk(events)));
    }
    forgery = await Forgery.open(world.database);
  });
  after(async () => {
    await forgery.close();
    await world.close();
    await deleteTopics(kafka, [topic]);
    rmSync(folder, { recursive: true });
  });
  afterEach(() => forgery.restore());

  const file = (name: string): string => path.join(folder, name);

  function run(args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<CliResult> {
    const own = { TOLLBOOK_ANCHOR_TOPIC: topic, TOLLBOOK_ANCHOR_FILE: file('anchors.jsonl') };
    return runTollbook(args, { DATABASE_URL: world.database.url, ...own, ...settings });
  }

  /** Runs a command with `--json`, and reads the only document that it prints. */
  async function json(args: readonly string[], exitCode = 0): Promise<Record<string, unknown>> {
    const result = await run([...args, '--json']);
    expect({ exitCode: result.exitCode, stderr: result.stderr }).to.deep.equal({ exitCode, stderr: '' });
    return JSON.parse(result.stdout) as Record<string, unknown>;
  }

  const changed = (name: string, from: string | RegExp, to: string): string => {
    const document = readFileSync(file(name), 'utf8');
    expect(document).to.match(new RegExp(from));
    writeFileSync(file('changed.json'), document.replace(from, to));
    return file('changed.json');
  };

  it('anchors publish tells the heads to the topic and the file once, and anchors list shows them', async () => {
    const { places } = await json(['anchors', 'publish']);
    expect(places).to.have.nested.property('[0].published.length', 3);
    expect(places).to.have.nested.property('[1].published.length', 3);
    const again = await run(['anchors', 'publish']);
    expect(again).to.deep.include({ exitCode: 0, stderr: '' });
    expect(again.stdout).to.equal(
      `topic ${topic}: 0 published, 3 unchanged\nfile ${file('anchors.jsonl')}: 0 published, 3 unchanged\n`,
    );
    const listed = (await json(['anchors', 'list'])) as unknown as { topic: string; hash: string; place: string }[];
    const ofUsage = listed.filter((anchor) => anchor.topic === 'usage.completed');
    expect(ofUsage.map(({ hash, place }) => [hash, place])).to.deep.equal([
      [last.hash.toString('hex'), `topic ${topic}`],
      [last.hash.toString('hex'), `file ${file('anchors.jsonl')}`],
    ]);
  });

  it('verify ends with 0 on a healthy ledger, and prints one document', async () => {
    const { elapsedMs: _elapsedMs, entriesPerSecond: _rate, ...found } = await json(['verify', '--full', '--anchors']);
    expect(found).to.deep.include({ ok: true, scope: 'everything', entries: 9, accounts: 2, chains: 3, batches: 5 });
    expect(found).to.deep.include({ problemCount: 0, problems: [], firstBadEntry: null });
    expect(found).to.deep.nested.include({ 'anchors.checked': 6, 'anchors.unanchored': [] });
    expect(await json(['verify', '--tenant', 'bolt'])).to.include({ ok: true, scope: 'tenant bolt', entries: 2 });
    expect(await json(['verify', '--source', 'usage.completed'])).to.include({ ok: true, entries: 5 });
  });

  it('verify ends with 1 on a forged one, and names the first bad entry', async () => {
    await forgery.forge([`UPDATE ledger_entries SET amount = amount - 1 WHERE tenant_id = 'acme' AND seq = 4`]);
    const { exitCode, stdout, stderr } = await run(['verify']);
    expect({ exitCode, lines: stdout.split('\n').slice(1) }).to.deep.equal({
      exitCode: 1,
      lines: [
        'PROBLEM (entry): entry acme#4 does not have the hash of its content',
        'PROBLEM (entry): entry acme#4 moves the balance by -3.000000000, its amount says -2.000000000',
        'first bad entry: acme#4',
        'NOT clean: 2 problems',
        '',
      ],
    });
    expect(stderr).to.match(/^verifying: 9 of 9 entries/m);
    expect(await json(['verify', '--problems-max', '1'], 1)).to.deep.nested.include({
      ...{ ok: false, problemCount: 2, 'problems.length': 1 },
      'problems[0].entry': { tenantId: 'acme', seq: 4 },
    });
  });

  it('verify --anchors names the tail that was cut off with its entries and its cursor, and publish leaves it so', async () => {
    const chain = `c.topic = '${last.source.topic}' AND c.partition = ${last.source.partition}`;
    await forgery.forge([
      `DELETE FROM ledger_entries WHERE batch_id = ${last.batchId}`,
      `DELETE FROM ledger_batches WHERE batch_id = ${last.batchId}`,
      `UPDATE stream_cursors c SET batch_no = b.batch_no, head = b.hash, next_offset = b.next_offset FROM ledger_batches b
       WHERE b.topic = c.topic AND b.partition = c.partition AND ${chain} AND b.batch_no = ${last.batchNo - 1}`,
      `UPDATE accounts SET seq = seq - 2, balance = balance + 6, daily_used = daily_used - 2, monthly_used = monthly_used - 2
       WHERE tenant_id = 'acme'`,
    ]);
    expect(await json(['verify'])).to.include({ ok: true });
    const { exitCode, stdout } = await run(['verify', '--anchors']);
    expect(exitCode).to.equal(1);
    expect(stdout).to.match(/batch usage\.completed\/\d+#3 was anchored at .* its tail was cut off \(and 1 more/);
    const published = await run(['anchors', 'publish']);
    expect(published.exitCode).to.equal(1);
    expect(published.stdout).to.match(
      /NOT published: batch usage\.completed\/\d+#3, anchored at .*, is not in the ledger/,
    );
  });

  it('verify --anchors tells a place that was emptied', async () => {
    writeFileSync(file('emptied.jsonl'), '');
    const { exitCode, stdout } = await run(['verify', '--anchors'], { TOLLBOOK_ANCHOR_FILE: file('emptied.jsonl') });
    expect(exitCode).to.equal(1);
    expect(stdout).to.include(`no anchor was found in file ${file('emptied.jsonl')}: nothing there vouches`);
  });

  it('receipt issues a document that leads to an anchor, and that is checked without any server', async () => {
    const issued = await run(['receipt', 'acme', 'd', '--out', file('receipt.json')]);
    expect(issued).to.deep.equal({
      ...{ exitCode: 0, stdout: '' },
      stderr: 'receipt for entry acme#6: leads to the anchor of batch #3\n',
    });
    const plain = await run(['receipt', 'verify', file('receipt.json')], NOWHERE);
    expect(plain).to.deep.include({ exitCode: 0, stderr: '' });
    expect(plain.stdout).to.match(/^entry acme#6: DEDUCT COMMITTED 3\.00 USD\n[^]*\nvalid\n$/);
    const anchors = ['--anchors-file', file('anchors.jsonl')];
    expect(await json(['receipt', 'verify', file('receipt.json'), ...anchors])).to.deep.nested.include({
      ...{ valid: true, 'entry.trace_id': 'd', 'batch.batchNo': 3, reaches: 'anchor' },
    });
    writeFileSync(file('others.jsonl'), `no anchor\n`);
    const others = ['--anchors-file', file('others.jsonl')];
    const refused = await run(['receipt', 'verify', file('receipt.json'), ...others], NOWHERE);
    expect(refused.exitCode).to.equal(1);
    expect(refused.stdout).to.match(/^NOT valid: chain leads to batch .* which no anchor in /);
  });

  const BROKEN: readonly (readonly [what: string, from: string | RegExp, to: string, told: RegExp])[] = [
    ['cut off', /"batch": [^]*$/, '', /^NOT valid: document /],
    ['with a changed digit', '"amount": "3.0', '"amount": "2.0', /^NOT valid: entry\.fields .*: amount\n$/],
    ['of another tenant', '"tenant_id": "acme"', '"tenant_id": "bolt"', /^NOT valid: entry\.fields .*: tenant_id\n$/],
    ['with a number as text', /"leaf_index": (\d)/, '"leaf_index": "$1"', /^NOT valid: inclusion\.leaf_index must be/],
    ['without its anchor', /"anchor": \{[^]*\n {2}\},/, '"anchor": null,', /^NOT valid: chain\.reaches is anchor/],
  ];
  for (const [what, from, to, told] of BROKEN) {
    it(`receipt verify turns down a receipt ${what}, with exit code 1`, async () => {
      const { exitCode, stdout, stderr } = await run(['receipt', 'verify', changed('receipt.json', from, to)], NOWHERE);
      expect({ exitCode, stderr }).to.deep.equal({ exitCode: 1, stderr: '' });
      expect(stdout).to.match(told);
    });
  }

  it('receipt issues none for an entry that was tampered with', async () => {
    await forgery.forge([`UPDATE ledger_entries SET amount = amount - 1 WHERE tenant_id = 'acme' AND trace_id = 'd'`]);
    const { exitCode, stdout, stderr } = await run(['receipt', 'acme', 'd', '--no-anchor']);
    expect({ exitCode, stdout }).to.deep.equal({ exitCode: 1, stdout: '' });
    expect(stderr).to.match(/^tollbook: LEDGER_CORRUPT: no receipt for entry acme#6: .*; run "tollbook verify"\n$/);
  });

  const WRONG: readonly (readonly [args: string, settings: Record<string, string>, exitCode: number, told: RegExp])[] =
    [
      ['verify --tenant acme --source usage.completed', {}, 2, /'--tenant <id>' cannot be used with option '--source/],
      ['verify --source a/b/c', {}, 2, /'a\/b\/c' is invalid\. allowed: TOPIC or TOPIC\/PARTITION/],
      ['verify --source nothing', {}, 2, /USAGE_INVALID: --source is nothing, which has no sealed batch/],
      ['verify --tenant nobody', {}, 1, /ACCOUNT_UNKNOWN: tenant nobody has no account/],
      ['verify --anchors', NO_PLACE, 2, /no place of anchors is known; set TOLLBOOK_ANCHOR_TOPIC/],
      ['verify --anchors', { TOLLBOOK_ANCHOR_TOPIC: 'not.there' }, 1, /TOPIC_MISSING: topic not\.there does not exist/],
      ['verify --anchors', { KAFKA_BROKERS: '127.0.0.1:1' }, 1, /KAFKA_UNAVAILABLE: /],
      ['verify --anchors-file /not/there', {}, 1, /the anchor file \/not\/there cannot be read: ENOENT/],
      ['verify --anchors-file /', {}, 1, /the anchor file \/ cannot be read: it is not a file/],
      ['verify', NOWHERE, 1, /POSTGRES_UNAVAILABLE: /],
      ['anchors publish --replace --actor ops', {}, 2, /--replace is given without --reason/],
      ['receipt acme nothing', {}, 1, /TRACE_UNKNOWN: tenant acme has no entry of trace nothing/],
      ['receipt acme d --entry 3', {}, 1, /trace d of acme has no entry 3; it has 6 \(COMMITTED\)/],
      ['receipt verify /not/there', {}, 1, /the receipt cannot be read: ENOENT/],
    ];
  for (const [args, settings, exitCode, told] of WRONG) {
    const given = Object.entries(settings).map(([name, value]) => `${name}=${value} `);
    it(`${given.join('')}${args} says what is wrong, with exit code ${exitCode}`, async () => {
      const result = await run(args.split(' '), settings);
      expect({ exitCode: result.exitCode, stdout: result.stdout }).to.deep.equal({ exitCode, stdout: '' });
      expect(result.stderr)
        .to.match(told)
        .and.not.match(/^ +at /m);
    });
  }
});
