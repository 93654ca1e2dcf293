/**
 * Owns: rebuilding quota hashes on real servers: set anew in place or only where they differ, reported without being
 * written, while charges go on, and stopped and gone on with.
 */
import { expect } from 'chai';
import { PostgresLedgerHistory } from '../../src/ledger/postgres/postgres-ledger-history.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { type ProjectReply, QuotaScripts, type TenantProjection } from '../../src/lua/quota-scripts.js';
import { auditLedger } from '../../src/projections/audit-sweep.js';
import { rebuildHashes } from '../../src/projections/rebuild-hashes.js';
import { expectAtRest } from '../support/at-rest.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import { documentIn, manyTenants, repeatDuring, runIn, startIn } from '../support/rebuild-samples.js';
import { waitUntil } from '../support/wait-until.js';
import { wireCompleted } from '../support/wire-usage.js';

const ALL = { kind: 'all', after: '' } as const;
const DAY = '2026-03-15';

/** The real scripts, telling whose hash they are asked to set. */
class ListeningScripts extends QuotaScripts {
  readonly projected: string[] = [];

  override async project(projections: readonly TenantProjection[]): Promise<readonly ProjectReply[]> {
    this.projected.push(...projections.map(({ tenantId }) => tenantId));
    return super.project(projections);
  }
}

describe('rebuilding quota hashes', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;
  let tenantIds: string[];

  before(async () => {
    world = await ProtocolWorld.open();
    tenantIds = await manyTenants(world, 'many', 30);
  });
  beforeEach(async () => {
    await world.server.clear();
    await world.project(tenantIds);
  });
  after(() => world.close());

  const quotaKey = (tenantId: string): string => quotaKeys(world.server.prefix, tenantId).quota;

  async function spoil(): Promise<void> {
    const { redis } = world.server;
    await redis.hset(quotaKey('many-0001'), { balance: '5', held: '7' });
    await redis.hset(quotaKey('many-0002'), 'version', 'x');
    await redis.hset(quotaKey('many-0003'), 'version', '99');
    await redis.del(quotaKey('many-0004'));
    await redis.hset(quotaKeys(world.server.prefix, 'many-0005').inflight, { '~available': 'x', junk: 'y' });
  }

  async function everything(): Promise<Record<string, Record<string, string>>> {
    const hashes: Record<string, Record<string, string>> = {};
    for (const tenantId of tenantIds) hashes[tenantId] = await world.hash(tenantId);
    return hashes;
  }

  it('in place sets every hash to its ledger, whatever it says', async () => {
    await spoil();
    const { exitCode, stdout, stderr } = await runIn(world, 'rebuild', '--all');
    expect(exitCode, stderr).to.equal(0);
    expect(stdout).to.match(/^30 hashes set anew in [\d.]+ s \(\d+\/s\); 2 held what nobody may write there\n$/);
    await expectAtRest(world, tenantIds);
  });

  it('in place brings back every hash after Redis has lost all, and drops what the ledger has from flight', async () => {
    const before = await everything();
    await world.server.redis.flushall();
    const held = {
      tenantId: 'many-0007',
      traceId: 'a',
      amountNano: 5n,
      checkBalance: false,
      checkQuota: true,
      day: DAY,
    };
    await world.project(['many-0007']);
    await world.scripts.hold(held, world.clock.nowMs());
    const { document, exitCode } = await documentIn(world, 'rebuild', '--all');
    const { seconds: _seconds, perSecond: _perSecond, ...rest } = document;
    expect(exitCode).to.equal(0);
    expect(rest).to.deep.equal({ mode: 'in place', tenants: 30, next: null, restless: 0, mended: 0, complete: true });
    expect(await everything()).to.deep.equal(before);
    expect(await world.inFlight('many-0007')).to.deep.equal([]);
  });

  it('keeps what is in flight and not in the ledger', async () => {
    const held = {
      tenantId: 'many-0008',
      traceId: 'way',
      amountNano: 5n,
      checkBalance: false,
      checkQuota: true,
      day: DAY,
    };
    await world.scripts.hold(held, world.clock.nowMs());
    await world.server.redis.hset(quotaKey('many-0008'), 'balance', '0');
    expect((await runIn(world, 'rebuild', '--tenant', 'many-0008')).exitCode).to.equal(0);
    expect((await world.inFlight('many-0008')).map(({ traceId }) => traceId)).to.deep.equal(['way']);
    expect(await world.hash('many-0008')).to.include({ balance: '-1000000000' });
  });

  it('of named tenants leaves the others as they are', async () => {
    await spoil();
    const args = ['rebuild', '--tenant', 'many-0001', '--tenant', 'many-0004'];
    expect((await documentIn(world, ...args)).document).to.include({ tenants: 2 });
    await expectAtRest(world, ['many-0001', 'many-0004']);
    expect(await world.hash('many-0003')).to.include({ version: '99' });
  });

  it('aside shows field by field what differs, and sets nothing else', async () => {
    await spoil();
    const scripts = new ListeningScripts(world.server.redis, { prefix: world.server.prefix });
    const { reader, logger, pool } = world;
    const ports = { reader, logger, scripts, history: new PostgresLedgerHistory(pool) };
    const nowMs = (): number => world.clock.nowMs() + 60_000;
    const report = await auditLedger(ports, { scope: ALL, repairs: true, leakAfterMs: 900_000, nowMs });
    expect([report.tenants, report.drifting, report.repaired, report.left]).to.deep.equal([30, 5, 5, 0]);
    expect([...new Set(scripts.projected)].sort()).to.deep.equal([1, 2, 3, 4, 5].map((n) => `many-000${n}`));
    await expectAtRest(world, tenantIds);
  });

  it('aside says so on the command line, and ends well once nothing is left', async () => {
    await spoil();
    const { stdout, exitCode } = await runIn(world, 'rebuild', '--all', '--aside');
    expect(stdout.split('\n')).to.include.members([
      'many-0001: balance is 0.000000005; expected -1.000000000',
      'many-0001: held is 0.000000007; expected 0.000000000',
      'many-0002: hash is version "x"; expected the ledger at 2',
      'many-0003: version is 99; expected 2 at most',
      'many-0004: hash is missing; expected the ledger at 2',
      'many-0005: inflight_item is junk = y; expected an item TRACE:PHASE = AVAIL|REQUESTS|DAY|TIME',
    ]);
    expect(stdout).to.match(/30 tenants looked at: 5 differ, by \d+\.\d{9} in all.*; 5 repaired, 0 left\n/);
    expect(exitCode).to.equal(0);
    await expectAtRest(world, tenantIds);
  });

  it('as a dry run shows what differs, writes nothing, and ends with exit code 1', async () => {
    await spoil();
    const before = await everything();
    const { document, exitCode } = await documentIn(world, 'rebuild', '--all', '--dry-run');
    expect(exitCode).to.equal(1);
    expect(document).to.include({ mode: 'dry run', tenants: 30, drifting: 5, left: 5, complete: true, next: null });
    expect(document['fields']).to.deep.include({ balance: { count: 1, amount: '1.000000005' } });
    expect(document['drifts']).to.have.length(5);
    expect(await everything()).to.deep.equal(before);
  });

  it('while the tenants are charged all the time loses nothing and counts nothing twice', async () => {
    const { reader, scripts, logger } = world;
    const charging = (async (): Promise<void> => {
      const stream = world.stream('completed');
      for (let round = 0; round < 40; round += 1) {
        const events = tenantIds.map((tenantId) =>
          wireCompleted({ tenantId, traceId: `r-${round}`, fields: { stream: true } }),
        );
        await world.protocol().charge(stream.chunk(events));
        if (round % 3 === 0) await world.project(tenantIds);
      }
    })();
    const rebuilds = await repeatDuring(charging, async (number) => {
      if (number === 3) await world.server.redis.flushall();
      const { restless, next } = await rebuildHashes({ reader, scripts, logger }, ALL);
      expect([restless, next]).to.deep.equal([0, null]);
    });
    expect(rebuilds).to.be.greaterThan(5);
    await expectAtRest(world, tenantIds);
    expect((await world.account('many-0000'))?.balanceNano).to.equal(-41_000_000_000n);
  });

  describe('stopped by a signal', () => {
    const TENANTS = 2_500;
    let crowd: string[];

    before(async () => {
      crowd = await manyTenants(world, 'crowd', TENANTS);
    });

    it('finishes the pages under way, says after which tenant to go on, and a second run does the rest', async () => {
      const { redis } = world.server;
      await redis.call('CLIENT', 'PAUSE', '30000', 'WRITE');
      const command = startIn(world, 'rebuild', '--all');
      // Held up by the pause. What it is held up with, only Redis 7 tells: 6 names the command before.
      await waitUntil('the rebuild writes', async () =>
        String(await redis.call('CLIENT', 'LIST'))
          .split('\n')
          .some((line) => / name=tollbook .* flags=b /.test(line)),
      );
      command.kill('SIGINT');
      await redis.call('CLIENT', 'UNPAUSE');
      const { exitCode, stdout, stderr } = await command.result;
      expect(exitCode, stderr).to.equal(1);
      const [, last = ''] =
        /stopped after tenant (\S+); go on with: tollbook rebuild --all --after \1\n/.exec(stderr) ?? [];
      expect(last, stderr).to.match(/^crowd-\d+$/);
      const done = crowd.indexOf(last) + 1;
      expect(stdout).to.include(`${done} hashes set anew`);
      const hashes = await world.scripts.versions(crowd);
      expect(hashes.filter((version) => version !== null)).to.have.length(done);
      const rest = await documentIn(world, 'rebuild', '--all', '--after', last);
      expect(rest.document).to.include({ tenants: TENANTS - done + tenantIds.length, complete: true, next: null });
      await expectAtRest(
        world,
        crowd.filter((_tenantId, index) => index % 100 === 0),
      );
    });
  });

  describe('asked for wrongly', () => {
    const CALLS: readonly (readonly [string, number, RegExp, readonly string[]])[] = [
      ['for nobody', 2, /USAGE_INVALID: neither --tenant nor --all is given; allowed: one of them/, []],
      ['for one and all', 2, /--tenant and --all are both given/, ['--all', '--tenant', 'many-0001']],
      [
        'for an unknown tenant',
        1,
        /ACCOUNT_UNKNOWN: tenant nobody has no account/,
        ['--tenant', 'many-0001', '--tenant', 'nobody'],
      ],
      ['for a malformed tenant', 2, /'a b' is invalid. allowed: 1 to 256 of A-Z/, ['--tenant', 'a b']],
      [
        'after a tenant without all',
        2,
        /--after is given; allowed: with --all only/,
        ['--tenant', 'many-0001', '--after', 'a'],
      ],
      ['for accounts aside', 2, /--aside and --accounts are both given/, ['--all', '--aside', '--accounts']],
      ['with an unknown option', 2, /unknown option '--fast'/, ['--all', '--fast']],
    ];
    for (const [what, code, message, options] of CALLS) {
      it(`${what}: says so, with exit code ${code}, and writes nothing`, async () => {
        await spoil();
        const before = await everything();
        const { exitCode, stderr, stdout } = await runIn(world, 'rebuild', ...options);
        expect(exitCode, stderr).to.equal(code);
        expect(stderr).to.match(message);
        expect(stdout).to.equal('');
        expect(await everything()).to.deep.equal(before);
      });
    }

    it('without Redis: says so', async () => {
      const settings = { REDIS_URL: 'redis://127.0.0.1:1' };
      const { runTollbook } = await import('../support/tollbook-cli.js');
      const { exitCode, stderr } = await runTollbook(['rebuild', '--all'], {
        DATABASE_URL: world.database.url,
        ...settings,
      });
      expect(exitCode).to.equal(1);
      expect(stderr).to.match(/REDIS_UNAVAILABLE: Redis did not become ready/);
    });
  });
});
