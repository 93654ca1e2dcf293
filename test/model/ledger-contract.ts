/**
 * Owns: what every ledger store, its reader and its finder of due holds must do, whatever they keep the ledger in; run
 * against PostgreSQL (test/integration) and against the ledger in memory that simulations run on (test/simulation).
 * Invariants: nothing is compared that only one of them has; every tenant and source is new.
 */
import { expect } from 'chai';
import { ChargeProtocol } from '../../src/consumers/charge-protocol.js';
import type { UsageKind } from '../../src/consumers/intake.js';
import { LEDGER_ALONE } from '../../src/consumers/quota-gate.js';
import { type Account, type AccountTerms, emptyAccount } from '../../src/ledger/account.js';
import { appendSealed, appendTogether } from '../../src/ledger/append-sealed.js';
import { CHAIN_GENESIS, type StreamSource } from '../../src/ledger/batch.js';
import { bookOpening } from '../../src/ledger/charge.js';
import { bookCommand } from '../../src/ledger/commands/book-command.js';
import { batchContent } from '../../src/ledger/commands/command-stream.js';
import type { DueHolds } from '../../src/ledger/expiry.js';
import type { LedgerReader } from '../../src/ledger/ledger-reader.js';
import type { Cursor, LedgerStore, LedgerTransaction, Standing } from '../../src/ledger/ledger-store.js';
import { traceKey } from '../../src/ledger/ledger-store.js';
import { parseAmount, ZERO } from '../../src/ledger/money.js';
import { isTollbookError, TollbookError } from '../../src/runtime/errors.js';
import { NOON, wireCompleted, type WireEvent, wirePending } from '../support/wire-usage.js';

/** A ledger under the contract. */
export interface ContractLedger {
  readonly store: LedgerStore;
  readonly reader: LedgerReader;
  readonly dueHolds: DueHolds;
  /** Does some work to its end, and whatever has to go on meanwhile. */
  settle<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const CLUSTER = 'contract';
const DAY = NOON.slice(0, 10);
const NOW_MS = Date.parse(NOON) + 1000;
const HOLD_TTL_MS = 60_000;
const TERMS: AccountTerms = { creditLimitNano: ZERO, dailyQuota: null, monthlyQuota: null, holdPolicy: 'estimate' };
const DEFAULTS = { currency: 'USD', terms: TERMS };
const clock = { nowMs: (): number => NOW_MS };

/** Declares the contract for the ledgers that `open` makes. */
export function ledgerContract(open: () => Promise<ContractLedger>): void {
  let ledger: ContractLedger;
  let names = 0;
  const fresh = (): { tenantId: string; source: StreamSource } => {
    names += 1;
    return { tenantId: `tenant-${names}`, source: { topic: 'contract', partition: names } };
  };

  before(async () => {
    ledger = await open();
  });
  after(() => ledger.close());

  it('keeps everything that a transaction wrote once it has returned', async () => {
    const { tenantId, source } = fresh();
    const batch = await run((transaction) => openAccount(transaction, source, tenantId));
    const { account, cursor, progress, tenants } = await read(tenantId, source);
    expect(account).to.include({ tenantId, seq: 1 });
    expect([cursor?.batchNo, cursor?.nextOffset, cursor?.head.equals(batch.hash)]).to.deep.equal([1, 1n, true]);
    expect(progress.map(({ account: { seq }, steps }) => [seq, steps.length])).to.deep.equal([[1, 0]]);
    expect(tenants).to.deep.equal([tenantId]);
  });

  it('keeps nothing of a transaction that throws after its last write', async () => {
    const { tenantId, source } = fresh();
    const failed = run(async (transaction) => {
      await openAccount(transaction, source, tenantId);
      throw new TollbookError('REDIS_UNAVAILABLE', 'after the last write');
    });
    expect(await codeOf(failed)).to.equal('REDIS_UNAVAILABLE');
    const { account, cursor } = await read(tenantId, source);
    expect([account, cursor]).to.deep.equal([undefined, undefined]);
  });

  it('fences a writer whose cursor another one has advanced, and keeps nothing of it', async () => {
    const [{ tenantId, source }, { tenantId: late }] = [fresh(), fresh()];
    const stale = await run((transaction) => lockOrCreate(transaction, source));
    await run((transaction) => openAccount(transaction, source, tenantId));
    expect(await codeOf(run((transaction) => openAccount(transaction, source, late, stale)))).to.equal('FENCED');
    expect((await read(late, source)).account).to.equal(undefined);
  });

  it('seals batches of two sources together, in the order they were decided, and locks their cursors', async () => {
    const { left, right } = await twoSources();
    const batches = await run((transaction) => openBoth(transaction, [left, right]));
    expect(batches.map(({ batchNo }) => batchNo)).to.deep.equal([1, 1]);
    expect(batches[1]?.batchId).to.be.greaterThan(batches[0]?.batchId ?? Infinity);
    for (const [index, { tenantId, source }] of [left, right].entries()) {
      const { account, cursor } = await read(tenantId, source);
      expect([account?.seq, cursor?.nextOffset]).to.deep.equal([1, 1n]);
      expect(cursor?.head.equals(batches[index]?.hash ?? CHAIN_GENESIS)).to.equal(true);
    }
  });

  it('fences batches of two sources when the cursor of one was advanced, and keeps nothing of either', async () => {
    const { left, right } = await twoSources();
    const stale = { ...right.cursor, batchNo: 7 };
    expect(await codeOf(run((transaction) => openBoth(transaction, [left, { ...right, cursor: stale }])))).to.equal(
      'FENCED',
    );
    for (const { tenantId, source } of [left, right]) {
      const { account, cursor } = await read(tenantId, source);
      expect([account, cursor?.nextOffset]).to.deep.equal([undefined, 0n]);
    }
  });

  for (const [what, seq] of [
    ['a seq that is taken', 0],
    ['the status that its trace already has', 1],
  ] as const) {
    it(`refuses an entry of ${what}, and keeps nothing of its transaction`, async () => {
      const { tenantId, source } = fresh();
      await run((transaction) => openAccount(transaction, source, tenantId));
      const again = run(async (transaction) => {
        const cursor = await lockOrCreate(transaction, source);
        return appendOpening(transaction, cursor, { ...emptyAccountOf(tenantId), seq });
      });
      expect(await codeOf(again)).to.equal('POSTGRES_CONFLICT');
      expect((await read(tenantId, source)).cursor?.batchNo).to.equal(1);
    });
  }

  it('lets a second writer of a source wait, and shows it what the first one wrote', async () => {
    const { source } = fresh();
    const tenants = [fresh().tenantId, fresh().tenantId, fresh().tenantId];
    const batches = await ledger.settle(() =>
      Promise.all(
        tenants.map((tenantId) => ledger.store.transact((transaction) => openAccount(transaction, source, tenantId))),
      ),
    );
    expect(batches.map(({ batchNo }) => batchNo).sort()).to.deep.equal([1, 2, 3]);
  });

  it('opens an account once, however many writers come with it at the same time', async () => {
    const { tenantId } = fresh();
    const opening = { tenantId, currency: 'USD', day: DAY, terms: TERMS };
    const opened = await ledger.settle(() =>
      Promise.all([1, 2, 3].map(() => ledger.store.transact((transaction) => transaction.ensureAccounts([opening])))),
    );
    expect(opened.map((tenants) => [...tenants]).flat()).to.deep.equal([tenantId]);
  });

  it('locks accounts in one order, whatever the order they are named in', async () => {
    const { source } = fresh();
    const tenants = [fresh().tenantId, fresh().tenantId, fresh().tenantId];
    for (const tenantId of tenants) await run((transaction) => openAccount(transaction, source, tenantId));
    const lock = (named: readonly string[]): Promise<number> =>
      ledger.store.transact(async (transaction) => (await transaction.lockAccounts([...named, 'nobody'])).size);
    const orders = Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? tenants : [...tenants].reverse()));
    const counts = await ledger.settle(() => Promise.all(orders.map(lock)));
    expect(counts).to.deep.equal(orders.map(() => 3));
  });

  it('locks all accounts that are named, and none of them when one is missing', async () => {
    const { tenantId, source } = fresh();
    await run((transaction) => openAccount(transaction, source, tenantId));
    const open = await run((transaction) => transaction.lockOpenAccounts([tenantId]));
    expect([...(open ?? [])].map(([name, { seq }]) => [name, seq])).to.deep.equal([[tenantId, 1]]);
    const lockedBeside = await run(async (transaction) => {
      expect(await transaction.lockOpenAccounts([tenantId, 'nobody'])).to.equal(undefined);
      return ledger.store.transact((other) => other.lockAccounts([tenantId]));
    });
    expect([...lockedBeside.keys()]).to.deep.equal([tenantId]);
  });

  it('tells the state of a trace, its steps, and its hold once that is due', async () => {
    const { tenantId, source } = fresh();
    const trace = { tenantId, traceId: 'trace' };
    await credit(tenantId);
    await charge('pending', source, [wirePending({ ...trace, units: 3 })]);
    const states = await run((transaction) => transaction.readTraces([trace, { tenantId, traceId: 'none' }]));
    expect([...states.keys()]).to.deep.equal([traceKey(trace)]);
    expect(states.get(traceKey(trace))).to.include({ status: 'PENDING', heldNano: parseAmount('3'), countedOn: DAY });
    const [steps, due, notYet] = await ledger.settle(() =>
      Promise.all([
        ledger.reader.readSteps([trace]),
        ledger.dueHolds.readDue(NOW_MS + HOLD_TTL_MS, 1_000),
        ledger.dueHolds.readDue(NOW_MS + HOLD_TTL_MS - 1, 1_000),
      ]),
    );
    expect(steps.map(({ seq, status }) => [seq, status])).to.deep.equal([[3, 'PENDING']]);
    expect(due.filter(({ entry }) => entry.tenantId === tenantId).map(({ entry }) => entry.seq)).to.deep.equal([3]);
    expect(notYet.filter(({ entry }) => entry.tenantId === tenantId)).to.deep.equal([]);
  });

  it('finds a command by its key, and knows what refunds have put back of a charge', async () => {
    const { tenantId, source } = fresh();
    const first = await credit(tenantId);
    expect(await credit(tenantId)).to.deep.equal({ outcome: 'repeated', entry: first.entry });
    await charge('completed', source, [wireCompleted({ tenantId, traceId: 'trace', units: 5 })]);
    await refund(tenantId, 'refund-1', '2');
    const [charged] = await run((transaction) => transaction.readTraceEntries({ tenantId, traceId: 'trace' }));
    const seq = charged?.seq ?? 0;
    expect(await run((transaction) => transaction.readRefunded({ tenantId, seq }))).to.equal(parseAmount('2'));
    expect(await codeOf(refund(tenantId, 'refund-2', '4'))).to.equal('REFUND_EXCEEDS_CHARGE');
    const entry = await run((transaction) => transaction.readEntry({ tenantId, seq }));
    expect(entry).to.include({ status: 'COMMITTED', amountNano: parseAmount('5') });
  });

  function run<T>(work: (transaction: LedgerTransaction) => Promise<T>): Promise<T> {
    return ledger.settle(() => ledger.store.transact(work));
  }

  function read(tenantId: string, source: StreamSource) {
    const { reader } = ledger;
    return ledger.settle(async () => ({
      account: (await reader.readAccounts([tenantId])).get(tenantId),
      cursor: await reader.readCursor(source),
      progress: await reader.readProgress([{ tenantId, sinceSeq: 0 }], 10),
      tenants: await reader.tenantsOfBatches(source, 0, 10),
    }));
  }

  /** Two sources whose cursors stand at their beginning, and a tenant without an account for each. */
  async function twoSources(): Promise<{ left: OfSource; right: OfSource }> {
    const [left, right] = [fresh(), fresh()];
    const cursorOf = (source: StreamSource): Promise<Cursor> => run((transaction) => lockOrCreate(transaction, source));
    return {
      left: { ...left, cursor: await cursorOf(left.source) },
      right: { ...right, cursor: await cursorOf(right.source) },
    };
  }

  function credit(tenantId: string) {
    const command = { tenantId, key: 'credit', currency: 'USD', actor: 'ops', reason: 'contract' };
    const ports = { store: ledger.store, clock, defaults: DEFAULTS };
    return ledger.settle(() => bookCommand(ports, { ...command, kind: 'credit', amountNano: parseAmount('10') }));
  }

  function refund(tenantId: string, key: string, units: string) {
    const command = { tenantId, key, actor: 'ops', reason: 'contract', of: { traceId: 'trace' } };
    const ports = { store: ledger.store, clock, defaults: DEFAULTS };
    return ledger.settle(() => bookCommand(ports, { ...command, kind: 'refund', amountNano: parseAmount(units) }));
  }

  function charge(kind: UsageKind, source: StreamSource, events: readonly WireEvent[]) {
    const protocol = new ChargeProtocol({
      ...{ store: ledger.store, clock, defaults: DEFAULTS, clusterId: CLUSTER },
      gate: LEDGER_ALONE,
      limits: { eventBytesMax: 65_536, eventAgeMaxMs: 40 * 24 * 3_600_000 },
      holdTtlMs: { estimate: HOLD_TTL_MS, none: HOLD_TTL_MS },
      estimates: { outputTokensDefault: 4096, outputTokensMax: null },
      wakeProjector: () => undefined,
    });
    const messages = events.map((event, index) => ({
      ...{ kafkaOffset: BigInt(index), key: null, headers: {} },
      value: Buffer.from(JSON.stringify(event)),
    }));
    return ledger.settle(() => protocol.charge({ source, kind, messages, nextOffset: BigInt(events.length) }));
  }
}

interface OfSource {
  readonly tenantId: string;
  readonly source: StreamSource;
  readonly cursor: Cursor;
}

/** Opens an account of each source, the cursors being locked, in one database transaction. */
async function openBoth(transaction: LedgerTransaction, both: readonly OfSource[]) {
  const reversed = [...both].reverse();
  const locked = await transaction.lockCursors(reversed.map(({ source }) => source));
  expect(locked.map(({ source }) => source)).to.have.deep.members(both.map(({ source }) => source));
  const openings = both.map(({ tenantId }) => ({ tenantId, currency: 'USD', day: DAY, terms: TERMS }));
  await transaction.ensureAccounts(openings);
  const opened = both.map(({ tenantId, cursor }) =>
    bookOpening(emptyAccountOf(tenantId), { source: { ...cursor.source, kafkaOffset: 0n }, occurredAt: NOON }),
  );
  const unsealed = opened.map(({ entry }, index) => ({
    own: batchContent({ counts: { openings: 1 }, entries: [entry] }),
    cursor: both[index]!.cursor,
    nextOffset: 1n,
  }));
  const standing = { ...NO_STANDING, accounts: opened.map(({ account }) => account) };
  return appendTogether(transaction, unsealed, { standing, sealedAtMs: NOW_MS });
}

const NO_STANDING: Standing = { accounts: [], holdsOpened: [], holdsClosed: [] };

function emptyAccountOf(tenantId: string): Account {
  return emptyAccount({ tenantId, currency: 'USD', day: DAY }, TERMS);
}

async function lockOrCreate(transaction: LedgerTransaction, source: StreamSource): Promise<Cursor> {
  const first: Cursor = { source, nextOffset: 0n, batchNo: 0, head: CHAIN_GENESIS, clusterId: CLUSTER };
  const [known] = await transaction.lockCursors([source]);
  return known ?? transaction.createCursor(first);
}

/** Opens an account as its first event does, sealed on the cursor as it stands, or as it once stood. */
async function openAccount(transaction: LedgerTransaction, source: StreamSource, tenantId: string, stale?: Cursor) {
  const cursor = stale ?? (await lockOrCreate(transaction, source));
  await transaction.ensureAccounts([{ tenantId, currency: 'USD', day: DAY, terms: TERMS }]);
  const account = (await transaction.lockAccounts([tenantId])).get(tenantId);
  return appendOpening(transaction, cursor, account ?? emptyAccountOf(tenantId));
}

function appendOpening(transaction: LedgerTransaction, cursor: Cursor, before: Account) {
  const source = { ...cursor.source, kafkaOffset: cursor.nextOffset };
  const { entry, account } = bookOpening(before, { source, occurredAt: NOON });
  const content = batchContent({ counts: { openings: 1 }, entries: [entry], accounts: [account] });
  return appendSealed(transaction, content, { cursor, nextOffset: cursor.nextOffset + 1n, sealedAtMs: NOW_MS });
}

async function codeOf(failing: Promise<unknown>): Promise<string> {
  return failing.then(
    () => 'none',
    (error: unknown) => (isTollbookError(error) ? error.code : String(error)),
  );
}
