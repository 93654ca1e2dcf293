/**
 * Owns: `tollbook dead-letters amend` as operators use it: a message that can never be charged as it is, found by its trace,
 * and charged by a corrected copy.
 * Does not own: what reconcile, replay and verify make of it (their tests have an amended letter among everything else).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { letterName } from '../../src/ledger/dead-letter.js';
import { amendLetter } from '../../src/consumers/amend-letter.js';
import { RedriveWorld } from '../support/redrive-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { wireCompleted, type WireEvent } from '../support/wire-usage.js';
import { failureOf } from '../support/command-samples.js';

const SIGNED = ['--actor', 'ops', '--reason', 'the gateway sent numbers as text'];
/** The events of these tests are older than what is accepted by default. */
const ANY_AGE = { TOLLBOOK_EVENT_AGE_MAX_MS: String(10_000 * 86_400_000) };

describe('tollbook dead-letters amend', function () {
  this.timeout(120_000);
  let redrive: RedriveWorld;
  let folder: string;

  before(async () => {
    redrive = await RedriveWorld.open();
    folder = await mkdtemp(path.join(tmpdir(), 'tollbook-amend-'));
  });

  after(async () => {
    await rm(folder, { recursive: true, force: true });
    await redrive.close();
  });

  function run(...args: string[]): Promise<CliResult> {
    return runTollbook(args, { DATABASE_URL: redrive.world.database.url, ...ANY_AGE });
  }

  /** A dead letter of a tenant with 10 units: it used 3 input tokens, said as text. */
  async function bury(fields: WireEvent = {}): Promise<{ tenantId: string; position: string }> {
    const tenantId = redrive.world.tenant();
    await redrive.world.credit(tenantId, '10');
    const usage = { input_tokens: '3', output_tokens: 0 };
    const event = wireCompleted({ tenantId, traceId: 't', fields: { usage, ...fields } });
    const [letter] = await redrive.bury(redrive.world.stream('completed'), [event]);
    return { tenantId, position: letterName(letter!) };
  }

  const balanceOf = async (tenantId: string): Promise<bigint | undefined> =>
    (await redrive.world.account(tenantId))?.balanceNano;

  it('charges a corrected copy once, of a letter that is found by its trace, and keeps both', async () => {
    const { tenantId, position } = await bury();
    const life = await run('trace', 'show', 't', '--tenant', tenantId);
    expect(life.stdout, life.stderr)
      .to.include(position)
      .and.include('INVALID_EVENT')
      .and.include(`amend | discard ${position}`);
    const listed = JSON.parse((await run('dead-letters', 'list', '--event', 'event-of-t', '--json')).stdout) as {
      letters: readonly object[];
    };
    expect(listed.letters).to.have.length(1);
    expect(listed.letters[0]).to.include({ position, tenantId, traceId: 't', eventId: 'event-of-t' });
    const amend = ['dead-letters', 'amend', position, '--set', 'usage.input_tokens=3', ...SIGNED];
    const dry = await run(...amend, '--dry-run');
    expect(dry.stdout, dry.stderr).to.include(`${position}  would be redriven: charged`);
    expect(await balanceOf(tenantId)).to.equal(10_000_000_000n);
    const done = await run(...amend);
    expect(done.stdout, done.stderr).to.include(`${position}  redriven: charged as ${tenantId}#3 COMMITTED`);
    expect(done.exitCode).to.equal(0);
    expect(await balanceOf(tenantId)).to.equal(7_000_000_000n);
    const again = await run(...amend);
    expect(again.stdout, again.stderr).to.include('was redriven before');
    expect(again.exitCode).to.equal(0);
    const other = await run('dead-letters', 'amend', position, '--set', 'usage.input_tokens=4', ...SIGNED);
    expect(other.stderr).to.include('this copy is not what was charged');
    expect(other.exitCode).to.equal(1);
    expect(await balanceOf(tenantId)).to.equal(7_000_000_000n);
    const shown = await run('dead-letters', 'show', position);
    expect(shown.stdout).to.include('"input_tokens":"3"').and.include('"input_tokens":3');
    expect(shown.stdout).to.include(
      'redriven by ops (the gateway sent numbers as text): charged, as corrected message',
    );
    expect((await run('verify', '--full')).exitCode).to.equal(0);
  });

  it('leaves the letter open when the copy is no better, and says why', async () => {
    const { position } = await bury();
    const result = await run('dead-letters', 'amend', position, '--set', 'usage.input_tokens=-1', ...SIGNED);
    expect(result.exitCode).to.equal(1);
    expect(result.stdout).to.include('stays open: INVALID_EVENT').and.include('usage.input_tokens: found -1');
    const file = path.join(folder, 'not.json');
    await writeFile(file, '{"schema_version":');
    const broken = await run('dead-letters', 'amend', position, '--file', file, ...SIGNED);
    expect(broken.stdout).to.include('stays open: INVALID_JSON');
    expect((await run('dead-letters', 'show', position, '--json')).stdout).to.include('"state":"open"');
  });

  it('refuses a copy of another request, and a call that corrects nothing', async () => {
    const { tenantId, position } = await bury();
    const file = path.join(folder, 'other.json');
    for (const [field, other] of [
      ['trace_id', wireCompleted({ tenantId, traceId: 'other' })],
      ['tenant_id', wireCompleted({ tenantId: 'somebody-else', traceId: 't' })],
    ] as const) {
      await writeFile(file, JSON.stringify(other));
      const refused = await run('dead-letters', 'amend', position, '--file', file, ...SIGNED);
      expect(refused.exitCode).to.equal(2);
      expect(refused.stderr).to.include(`USAGE_INVALID: ${field} of the corrected copy is`);
    }
    for (const [args, why] of [
      [[], 'nothing is corrected'],
      [['--set', 'usage'], 'allowed: FIELD=VALUE'],
      [['--set', 'model.name=x'], 'model is no object in the message'],
      [['--file', path.join(folder, 'missing.json')], 'FILE_UNREADABLE'],
    ] as const) {
      const refused = await run('dead-letters', 'amend', position, ...args, ...SIGNED);
      expect(refused.exitCode, why).to.be.oneOf([1, 2]);
      expect(refused.stderr).to.include(why);
    }
    expect(await balanceOf(tenantId)).to.equal(10_000_000_000n);
  });

  it('corrects by a file alone what JSON readers do not agree on', async () => {
    const tenantId = redrive.world.tenant();
    await redrive.world.credit(tenantId, '10');
    const whole = JSON.stringify(wireCompleted({ tenantId, traceId: 't', units: 2 }));
    const letters = await redrive.bury(redrive.world.stream('completed'), [
      whole.replace('{', '{"tenant_id":"somebody-else",'),
      whole.replace('"input_tokens":2', '"input_tokens":0.99999999999999999999'),
    ]);
    for (const [index, why] of ['has "tenant_id" twice', 'a number that not every reader takes'].entries()) {
      const refused = await run('dead-letters', 'amend', letterName(letters[index]!), '--set', 'model=m', ...SIGNED);
      expect(refused.exitCode).to.equal(2);
      expect(refused.stderr).to.include(why).and.include('--file');
    }
    const inexact = ['--set', 'usage.input_tokens=0.99999999999999999999'];
    expect((await run('dead-letters', 'amend', letterName(letters[1]!), ...inexact, ...SIGNED)).stderr).to.include(
      'a number that is read as it is written',
    );
    const file = path.join(folder, 'whole.json');
    await writeFile(file, whole);
    const amended = await run('dead-letters', 'amend', letterName(letters[0]!), '--file', file, ...SIGNED);
    expect(amended.stdout, amended.stderr).to.include('redriven: charged');
    expect(await balanceOf(tenantId)).to.equal(8_000_000_000n);
  });

  it('sets no more than a field, whatever its name, and takes fields out', async () => {
    const { tenantId, position } = await bury({ __proto: 1 });
    const named = ['--unset', '__proto', '--set', '__proto__.polluted=1', '--set', 'usage.input_tokens=3'];
    const refused = await run('dead-letters', 'amend', position, ...named, ...SIGNED);
    expect(refused.stdout).to.include('stays open: INVALID_EVENT').and.include('__proto__');
    const accepted = await run('dead-letters', 'amend', position, ...named.slice(0, 2), ...named.slice(4), ...SIGNED);
    expect(accepted.stdout, accepted.stderr).to.include('redriven: charged');
    expect(await balanceOf(tenantId)).to.equal(7_000_000_000n);
  });

  it('charges once when many amend and redrive the same letter at the same time', async () => {
    const tenantId = redrive.world.tenant();
    const [letter] = await redrive.buryOld(tenantId, 1);
    const value = Buffer.from(
      JSON.stringify(wireCompleted({ tenantId, traceId: `${tenantId}-0`, fields: { stream: true } })),
    );
    const amendment = { letter: letter!, value, actor: 'ops', reason: 'the right day', isDryRun: false };
    const results = await Promise.all([
      ...Array.from({ length: 4 }, () => amendLetter(redrive.ports(), amendment)),
      ...Array.from({ length: 4 }, async () => (await redrive.redrive([letter!]))[0]!),
    ]);
    expect(results.filter(({ kind }) => kind === 'redriven')).to.have.length(1);
    expect(results.filter(({ kind }) => kind === 'closed')).to.have.length(7);
    const [row] = await redrive.world.rows<{ count: string }>(
      'SELECT count(*) FROM ledger_entries WHERE tenant_id = $1 AND trace_id = $2',
      [tenantId, `${tenantId}-0`],
    );
    expect(row?.count).to.equal('1');
    const batch = { ...letter!, reason: 'UNREADABLE_BATCH' as const };
    const refusal = await failureOf(amendLetter(redrive.ports(), { ...amendment, letter: batch }));
    expect(refusal.message).to.include('stands for a whole batch of messages');
  });
});
