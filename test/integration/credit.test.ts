/** The credit command on a real PostgreSQL, as a function and as a command line. */
import { expect } from 'chai';
import { batchHash, type SealedBatch } from '../../src/ledger/batch.js';
import { commandSource } from '../../src/ledger/commands/command-stream.js';
import type { CreditCommand } from '../../src/ledger/commands/command.js';
import { amountNano, parseAmount } from '../../src/ledger/money.js';
import { pageBatches } from '../../src/ledger/postgres/proof-rows.js';
import { expectAtRest } from '../support/at-rest.js';
import { batchOf, ProtocolWorld } from '../support/protocol-world.js';
import { runTollbook } from '../support/tollbook-cli.js';
import { wireCompleted } from '../support/wire-usage.js';

describe('the credit command', () => {
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  /** Gives a credit; what it answers is cut down to what these tests compare. */
  async function credit(tenantId: string, changes: Partial<CreditCommand> = {}) {
    const command: CreditCommand = {
      kind: 'credit',
      tenantId,
      key: 'key-1',
      amountNano: parseAmount('12.5'),
      currency: 'USD',
      actor: 'ops',
      reason: 'top-up',
    };
    const { outcome, entry } = await world.command({ ...command, ...changes });
    return { outcome, seq: entry.seq, balanceAfterNano: entry.balanceAfterNano };
  }

  async function problemOf(work: Promise<unknown>): Promise<unknown> {
    return work.then(
      () => 'none',
      (error: unknown) => error,
    );
  }

  function batchesOf(tenantId: string): Promise<SealedBatch[]> {
    return pageBatches(world.pool, { source: commandSource(tenantId), afterBatchNo: 0 }, 1000);
  }

  it('opens the account, books the amount, and seals both in the command chain', async () => {
    const tenantId = world.tenant();
    const batchesBefore = await batchesOf(tenantId);
    expect(await credit(tenantId)).to.deep.equal({ outcome: 'booked', seq: 2, balanceAfterNano: 12_500_000_000n });
    const [opening, booked] = await world.entries(tenantId);
    expect(opening).to.include({ type: 'LIMITS', trace_id: '~~open', balance_after: '0.000000000' });
    expect(booked).to.include({
      type: 'CREDIT',
      status: 'COMMITTED',
      trace_id: '~key-1',
      amount: '12.500000000',
      description: 'top-up',
    });
    const batch = (await batchesOf(tenantId)).slice(batchesBefore.length);
    expect(batch).to.have.length(1);
    expect(batch[0]?.counts).to.include({ charged: 1, openings: 1 });
    expect(batch[0]?.hash).to.deep.equal(batchHash(batch[0]!));
    expect((await world.reader.readCursor(commandSource(tenantId)))?.head).to.deep.equal(batch[0]?.hash);
    await expectAtRest(world, [tenantId]);
  });

  it('returns the first result when it is sent again, also after the balance has moved, and writes nothing', async () => {
    const tenantId = world.tenant();
    await credit(tenantId);
    const event = wireCompleted({ tenantId, traceId: 'a', units: 2 });
    batchOf(await world.protocol().charge(world.stream('completed').chunk([event])));
    const batches = (await batchesOf(tenantId)).length;
    expect(await credit(tenantId)).to.deep.equal({ outcome: 'repeated', seq: 2, balanceAfterNano: 12_500_000_000n });
    expect(await world.entries(tenantId)).to.have.length(3);
    expect(await batchesOf(tenantId)).to.have.length(batches);
    await expectAtRest(world, [tenantId]);
  });

  const REUSES: readonly Partial<CreditCommand>[] = [
    { amountNano: amountNano(1n) },
    { currency: 'EUR' },
    { reason: 'gift' },
    { actor: 'someone else' },
  ];
  for (const changed of REUSES) {
    it(`refuses a key that comes again with another ${Object.keys(changed).join()}`, async () => {
      const tenantId = world.tenant();
      await credit(tenantId);
      const problem = await problemOf(credit(tenantId, changed));
      expect(problem).to.include({ code: 'IDEMPOTENCY_KEY_REUSED' });
      const [field] = Object.keys(changed);
      const name = field === 'amountNano' ? 'amount' : field;
      expect(String(problem)).to.include(
        `key key-1 of tenant ${tenantId} was used for the credit of entry 2: ${name} was`,
      );
      expect(await world.entries(tenantId)).to.have.length(2);
    });
  }

  it('keeps the keys of different tenants apart', async () => {
    const tenantIds = [world.tenant(), world.tenant()];
    for (const tenantId of tenantIds) expect(await credit(tenantId)).to.include({ outcome: 'booked' });
  });

  it('refuses another currency than that of the account, and writes nothing', async () => {
    const tenantId = world.tenant();
    await credit(tenantId);
    const problem = await problemOf(credit(tenantId, { key: 'key-2', currency: 'EUR' }));
    expect(problem).to.include({ code: 'CURRENCY_MISMATCH' });
    expect(await world.entries(tenantId)).to.have.length(2);
  });

  it('books once when the same key is sent twenty times at once', async () => {
    const tenantId = world.tenant();
    const results = await Promise.all(Array.from({ length: 20 }, () => credit(tenantId)));
    expect(results.filter(({ outcome }) => outcome === 'booked')).to.have.length(1);
    for (const { seq, balanceAfterNano } of results)
      expect({ seq, balanceAfterNano }).to.deep.equal({ seq: 2, balanceAfterNano: 12_500_000_000n });
    expect(await world.entries(tenantId)).to.have.length(2);
    await expectAtRest(world, [tenantId]);
  });

  it('books different keys at once, beside usage of the same tenant, each exactly once', async () => {
    const tenantId = world.tenant();
    const stream = world.stream('completed');
    const usage = async (): Promise<void> => {
      for (let index = 0; index < 20; index += 1) {
        const event = wireCompleted({ tenantId, traceId: `trace-${index}`, fields: { stream: true } });
        batchOf(await world.protocol().charge(stream.chunk([event])));
      }
    };
    const credits = Array.from({ length: 20 }, (_none, index) => credit(tenantId, { key: `key-${index}` }));
    await Promise.all([usage(), ...credits]);
    expect((await world.account(tenantId))?.balanceNano).to.equal(230_000_000_000n);
    expect((await world.account(tenantId))?.seq).to.equal(41);
    await expectAtRest(world, [tenantId]);
  });
});

describe('tollbook credit and tollbook cursors', function () {
  this.timeout(120_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  const VALID = { amount: '12.5', key: 'key-1', actor: 'ops', reason: 'top-up' };
  const run = (...args: string[]): ReturnType<typeof runTollbook> =>
    runTollbook(args, { DATABASE_URL: world.database.url });

  function credit(
    tenantId: string,
    options: Readonly<Record<string, string | undefined>>,
  ): ReturnType<typeof runTollbook> {
    const flags = Object.entries<string | undefined>({ ...VALID, ...options }).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, value],
    );
    return run('credit', tenantId, ...flags);
  }

  const REFUSALS: readonly (readonly [string, Readonly<Record<string, string | undefined>>, RegExp])[] = [
    [
      'an amount with ten decimals',
      { amount: '1.0000000001' },
      /'--amount <decimal>'.*10 decimals found, at most 9 allowed/,
    ],
    [
      'an amount of 2^63 nano-units',
      { amount: '9223372036.854775808' },
      /'--amount <decimal>'.*below 9223372036\.854775808/,
    ],
    ['an amount of zero', { amount: '0' }, /'--amount <decimal>'.*allowed: more than zero/],
    [
      'an amount with an exponent',
      { amount: '1e3' },
      /'--amount <decimal>'.*expected a decimal string such as "12\.5"/,
    ],
    ['a currency in small letters', { currency: 'usd' }, /'--currency <code>'.*allowed: 3 to 8 capital letters/],
    ['a key with a blank', { key: 'key 1' }, /'--key <key>'.*allowed: 1 to 256 of A-Z/],
    ['a missing reason', { reason: undefined }, /required option '--reason <text>' not specified/],
    ['an option there is not', { colour: 'red' }, /unknown option '--colour'/],
  ];
  for (const [mistake, options, message] of REFUSALS) {
    it(`refuses ${mistake} with exit code 2, says what is allowed and writes nothing`, async () => {
      const tenantId = world.tenant();
      const { exitCode, stdout, stderr } = await credit(tenantId, options);
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: 2, stdout: '' });
      expect(stderr).to.match(message);
      expect(await world.entries(tenantId)).to.deep.equal([]);
      expect(await world.account(tenantId)).to.equal(undefined);
    });
  }

  it('prints its result as one JSON object, and the chain it was sealed in shows in the list of cursors', async () => {
    const tenantId = world.tenant();
    const run1 = await run(
      'credit',
      tenantId,
      ...Object.entries(VALID).flatMap(([name, value]) => [`--${name}`, value]),
      '--json',
    );
    expect(run1.exitCode).to.equal(0);
    expect(JSON.parse(run1.stdout)).to.include({
      tenantId,
      outcome: 'booked',
      seq: 2,
      balanceAfter: '12.500000000',
      currency: 'USD',
    });
    const { exitCode, stdout } = await run('cursors', 'list', '--json');
    expect(exitCode).to.equal(0);
    const { source, nextOffset, batchNo, head } = (await world.reader.readCursor(commandSource(tenantId)))!;
    const own = {
      ...{ ...source, nextOffset: nextOffset.toString(), batches: batchNo, head: head.toString('hex') },
      ...{ base: '0', topicId: null, lastMessage: null },
    };
    expect(JSON.parse(stdout)).to.deep.include(own);
    expect(own).to.include({ topic: '~commands', nextOffset: '1', batches: 1 });
  });

  it('ends with exit code 1 and names both uses when a key is reused', async () => {
    const tenantId = world.tenant();
    expect((await credit(tenantId, {})).stdout).to.equal(
      `credited 12.50 USD to ${tenantId} as entry 2; balance 12.50 USD\n`,
    );
    const { exitCode, stderr } = await credit(tenantId, { amount: '13' });
    expect(exitCode).to.equal(1);
    expect(stderr).to.match(
      /^tollbook: IDEMPOTENCY_KEY_REUSED: .*entry 2: amount was "12\.500000000", now "13\.000000000"/,
    );
    expect(await world.entries(tenantId)).to.have.length(2);
  });
});
