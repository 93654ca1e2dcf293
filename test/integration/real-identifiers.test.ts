/**
 * Owns: that ids and names as gateways, vaults, identity providers and generators of ids really write them are charged, and
 * pass through Redis, COPY, CSV and the command line as they are. On real servers.
 */
import { expect } from 'chai';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { proveAccounts } from '../../src/reconciliation/account-proof.js';
import { proveChains } from '../../src/reconciliation/chain-proof.js';
import { proveProjections } from '../../src/reconciliation/projection-proof.js';
import { expectAtRest } from '../support/at-rest.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { wireCompleted, wirePending } from '../support/wire-usage.js';

const TENANTS = [
  'auth0|5f7c',
  'google-oauth2|1',
  'a+b@c.d',
  '-dash',
  '_under',
  '=1+1',
  'CN=a&b',
  '%40',
  '*',
  'x'.repeat(256),
];
const TRACES = [
  '_V1StGXR8_Z5jdHi6B-myT',
  '-V1StGXR8',
  '01ARZ3NDEKTSV4RRFFQ69G5FAV',
  'Root=1-5e/x+y==',
  'a:p',
  'x'.repeat(256),
];
const MODELS = [
  ...[
    '@cf/meta/llama-3-8b-instruct',
    'claude-sonnet-4[1m]',
    '~anthropic/claude',
    'gpt-4 (preview, eu)',
    'm'.repeat(256),
  ],
  'accounts/fireworks/models/x#1',
];

describe('identifiers of the real world', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  function run(...args: readonly string[]): Promise<CliResult> {
    return runTollbook(args, { DATABASE_URL: world.database.url, TOLLBOOK_REDIS_PREFIX: world.server.prefix });
  }

  for (const tenantId of TENANTS) {
    it(`are held, charged and projected under their own names: ${tenantId.slice(0, 20)}`, async () => {
      const choices = TRACES.map((traceId, index) => {
        const fields = { event_id: `event-${index}`, model: MODELS[index], user_id: traceId };
        return { tenantId, traceId, fields };
      });
      await world.credit(tenantId, '100');
      const held = world.stream('pending').chunk(choices.map((each) => wirePending({ ...each, units: 2 })));
      const done = world.stream('completed').chunk(choices.map((each) => wireCompleted(each)));
      expect(batchOf(await world.protocol().charge(held)).counts.charged).to.equal(TRACES.length);
      expect(batchOf(await world.protocol().charge(done)).counts.charged).to.equal(TRACES.length);
      const rows = await world.rows<object>(
        `SELECT trace_id, model, user_id FROM ledger_entries WHERE tenant_id = $1 AND status = 'COMMITTED' AND type = 'DEDUCT'`,
        [tenantId],
      );
      const named = TRACES.map((traceId, index) => ({ trace_id: traceId, model: MODELS[index], user_id: traceId }));
      expect(rows).to.have.deep.members(named);
      await expectAtRest(world, [tenantId]);
    });
  }

  it('leave nothing for the proofs to find', async () => {
    const proofs = [await proveChains(world.pool), await proveAccounts(world.pool)];
    expect(proofs.flatMap(({ problems }) => problems)).to.deep.equal([]);
    expect((await proveProjections(new PostgresLedgerReader(world.pool), world.scripts)).problems).to.deep.equal([]);
  });

  it('are taken by the command line, and are no formula in a CSV', async () => {
    const shown = await run('trace', 'show', '--tenant', '=1+1', '--json', '--', '-V1StGXR8');
    expect(JSON.parse(shown.stdout)).to.include({ state: 'COMMITTED' });
    expect((await run('account', 'show', '--json', '--', '-dash')).exitCode).to.equal(0);
    const { stdout } = await run('entries', 'list', '--tenant', '=1+1', '--csv');
    expect(stdout).to.include("\r\n'=1+1,").and.include("'-V1StGXR8").and.include('claude-sonnet-4[1m]');
    expect((await run('export', '--format', 'hledger')).exitCode).to.equal(0);
  });

  it('that begin with a tilde are reserved, and the dead letter says which trace it was', async () => {
    const event = wireCompleted({ tenantId: '~commands', traceId: 'of-nobody' });
    batchOf(await world.protocol().charge(world.stream('completed').chunk([event])));
    const letters = await world.rows<object>(
      `SELECT tenant_id, trace_id, reason FROM dead_letters WHERE trace_id = 'of-nobody'`,
    );
    expect(letters).to.deep.equal([{ tenant_id: null, trace_id: 'of-nobody', reason: 'INVALID_EVENT' }]);
  });

  it('of a message that is no event lead to its dead letter', async () => {
    const event = wireCompleted({ tenantId: 'a+b@c.d', traceId: '_lost=', fields: { usage: 'none' } });
    batchOf(await world.protocol().charge(world.stream('completed').chunk([event])));
    const shown = await run('trace', 'show', '--tenant', 'a+b@c.d', '--', '_lost=');
    expect(shown.exitCode, shown.stderr).to.equal(0);
    expect(shown.stdout).to.include('dead letter').and.include('INVALID_EVENT: usage: found "none"');
  });
});
