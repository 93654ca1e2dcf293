/** Owns: the commands of the ledger as a new user types them: what they print, now and when sent again. */
import { expect } from 'chai';
import { expectAtRest } from '../support/at-rest.js';
import { preparedTenant, rowCounts, runCommand, VALID_OPTIONS, WHO } from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';

describe('the commands of the ledger on the command line', function () {
  this.timeout(180_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  const SENTENCES: readonly (readonly [string, RegExp])[] = [
    ['credit', /^credited 5\.00 USD to \S+ as entry 6; balance 11\.00 USD\n$/],
    ['adjust', /^adjusted the balance of \S+ by -3\.25 USD as entry 6; balance 2\.75 USD\n$/],
    ['refund', /^refunded 4\.00 USD of entry 3, and its request to \S+ as entry 6; balance 10\.00 USD\n$/],
    [
      'limits',
      /^limits of \S+ are now, as of entry 6: credit limit 2\.500000000 USD, daily quota 100, monthly quota u/,
    ],
    ['collect', /^collected 11\.00 USD for trace failed from \S+ as entry 6; balance -5\.00 USD\n$/],
    ['void', /^voided the hold of 2\.00 USD of trace held as entry 6; \S+ now holds 0\.00 USD\n$/],
  ];
  for (const [command, sentence] of SENTENCES) {
    it(`${command} says in a sentence what it did, and when it is sent again that nothing was written`, async () => {
      const { tenantId } = await preparedTenant(world);
      const options = [...VALID_OPTIONS[command]!, '--key', 'key-1', ...WHO];
      const first = await runCommand(world, command, tenantId, ...options);
      expect(first.stderr).to.equal('');
      expect(first.exitCode).to.equal(0);
      expect(first.stdout).to.match(sentence);
      const before = await rowCounts(world);
      const second = await runCommand(world, command, tenantId, ...options);
      expect(second.stdout).to.match(/^key key-1 was booked before, as entry 6; .*; nothing written\n$/);
      expect(await rowCounts(world)).to.deep.equal(before);
      await expectAtRest(world, [tenantId]);
    });
  }

  it('account open says in a sentence what it opened, and prints one JSON object when asked', async () => {
    const tenantId = world.tenant();
    const options = ['--currency', 'EUR', '--monthly-quota', 'unlimited', '--key', 'open', ...WHO];
    const first = await runCommand(world, 'account open', tenantId, ...options);
    expect(first.stderr).to.equal('');
    expect(first.stdout).to.equal(
      `opened account ${tenantId} in EUR as entry 1: credit limit 0.000000000 EUR, daily quota unlimited, ` +
        'monthly quota unlimited, hold policy estimate\n',
    );
    const again = JSON.parse(
      (await runCommand(world, 'account open', tenantId, ...options, '--json')).stdout,
    ) as object;
    expect(again).to.include({ outcome: 'repeated', kind: 'open-account', seq: 1, currency: 'EUR', reason: 'by hand' });
    expect((await world.account(tenantId))?.currency).to.equal('EUR');
  });

  it('a command prints all of its entry as one JSON object', async () => {
    const { tenantId } = await preparedTenant(world);
    const { stdout } = await runCommand(
      world,
      'refund',
      tenantId,
      '--entry',
      '3',
      '--amount',
      '1',
      '--key',
      'k',
      ...WHO,
      '--json',
    );
    const { occurredAt, ...rest } = JSON.parse(stdout) as Record<string, unknown>;
    expect(Date.parse(String(occurredAt))).to.be.greaterThan(0);
    expect(rest).to.deep.equal({
      ...{ outcome: 'booked', kind: 'refund', key: 'k', tenantId, seq: 6, traceId: '~k', type: 'REFUND' },
      ...{ status: 'COMMITTED', amount: '1.000000000', currency: 'USD', balanceBefore: '6.000000000' },
      ...{ balanceAfter: '7.000000000', heldAfter: '2.000000000', requests: 0, countedOn: null, referenceSeq: 3 },
      ...{ detail: null, actor: 'ops', reason: 'by hand' },
    });
  });
});
