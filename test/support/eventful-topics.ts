/**
 * Owns: topics in which everything has happened that a message can become, and the ledger that charged them, with
 * commands, an expiry and a redrive between.
 * Does not own: the servers (reconcile-world.ts).
 */
import { HoldExpiry } from '../../src/consumers/hold-expiry.js';
import { amendLetter } from '../../src/consumers/amend-letter.js';
import { redriveLetters } from '../../src/consumers/redrive.js';
import { chargingParts } from '../../src/cli/charging-parts.js';
import { discardLetters } from '../../src/ledger/discard-letters.js';
import { parseAmount } from '../../src/ledger/money.js';
import { PostgresDueHolds } from '../../src/ledger/postgres/due-holds.js';
import { PostgresDeadLetterReader } from '../../src/ledger/postgres/postgres-dead-letter-reader.js';
import { PostgresDeadLetterStore } from '../../src/ledger/postgres/postgres-dead-letter-store.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { systemClock } from '../../src/runtime/clock.js';
import { invariant } from '../../src/runtime/errors.js';
import { createLogger } from '../../src/runtime/logger.js';
import { importText, newBook, UNIT_PRICES } from './price-lists.js';
import { ReconcileWorld } from './reconcile-world.js';
import { completion, pending, type WireEvent } from './usage-messages.js';

const units = parseAmount;
const DAY_MS = 86_400_000;
const UNSTREAMED = { stream: false };
const ONLY_INPUT_PRICE = { pricing: { input_per_1k: '0.003', currency: 'USD' } };
const CANCELLED = { outcome: 'cancelled', usage: { input_tokens: 0, output_tokens: 0 } };
const OTHER_USAGE = { usage: { input_tokens: 1001, output_tokens: 200 } };
const UNQUOTED = { pricing: undefined, provider: 'anthropic', model: 'claude-sonnet-4', stream: true };
const METERED = {
  usage: { input_tokens: 1000, output_tokens: 200, meters: { requests: 1, cached_input_tokens: 30 } },
  pricing: {
    ...{ input_per_1k: '0.003', output_per_1k: '0.015', currency: 'USD', price_version: 'list@7' },
    meters: { cached_input_tokens: '0.0003', requests: '0.1' },
  },
};
const EUROS = { pricing: { input_per_1k: '1', output_per_1k: '1', currency: 'EUR' } };

/** Lets everything happen; `acme` and `corp` have money, `bolt` has none. */
export async function openEventfulTopics(): Promise<ReconcileWorld> {
  const world = await ReconcileWorld.open({ settings: { TOLLBOOK_EVENT_BYTES_MAX: '4096' } });
  await world.credit('acme', '100');
  await world.command('corp', { kind: 'open-account', terms: { holdPolicy: 'none' } });
  await world.credit('corp', '20');
  await holdEverything(world);
  await world.command('acme', { kind: 'void', traceId: 'd' });
  await completeEverything(world);
  await putAside(world);
  await commandAndExpire(world);
  await afterAll(world);
  await world.publish('completed', ['left for later']);
  return world;
}

/** Two chunks: a refusal that comes again is a duplicate, in the same chunk and in a later one. */
async function holdEverything(world: ReconcileWorld): Promise<void> {
  const holds = ['a', 'b', 'c', 'd', 'e'].map((traceId) => pending('acme', traceId));
  await world.publish('pending', [
    ...[...holds, holds[0]!],
    ...[pending('bolt', 'refused', UNSTREAMED), pending('bolt', 'refused', UNSTREAMED)],
    ...[pending('corp', 'a'), 'no event', pending('acme', 'free', { pricing: undefined })],
    pending('acme', 'unpriced', ONLY_INPUT_PRICE),
  ]);
  await world.charge();
  await world.publish('pending', [holds[1]!, pending('bolt', 'refused', UNSTREAMED)]);
  await world.charge();
}

async function completeEverything(world: ReconcileWorld): Promise<void> {
  const [first, unpriced] = [completion('acme', 'a'), completion('acme', 'unpriced', ONLY_INPUT_PRICE)];
  await world.publish('completed', [
    ...[first, completion('acme', 'b', METERED), completion('acme', 'c', CANCELLED), completion('acme', 'd')],
    ...[completion('corp', 'a'), completion('bolt', 'streamed'), completion('bolt', 'failed', UNSTREAMED)],
    ...[completion('bolt', 'refused'), completion('acme', 'early'), first, unpriced, unpriced],
    ...[completion('acme', 'skipped', { skip_reason: 'an "internal" \\ call' })],
  ]);
  await world.publish('completed', [completion('euro', 'a', EUROS), completion('corp', 'b')], 1);
  await world.charge();
  await world.publish('pending', [pending('acme', 'early'), pending('acme', 'c'), pending('acme', 'a')]);
  await world.publish('completed', [first, unpriced]);
  const book = newBook();
  const atMs = Date.now();
  const effectiveFrom = new Date(atMs - DAY_MS).toISOString();
  await importText(world.ledger.pool, UNIT_PRICES, { book, atMs, effectiveFrom });
  const fromBook = completion('acme', 'from-book', UNQUOTED);
  await world.publish('completed', [fromBook, fromBook, completion('acme', 'not-in-book', { pricing: undefined })]);
  await world.charge({ priceBook: book });
}

async function putAside(world: ReconcileWorld): Promise<void> {
  const occurredAt = (days: number): WireEvent => ({ occurred_at: new Date(Date.now() + days * DAY_MS).toISOString() });
  await world.publish('completed', [
    ...['{', Buffer.alloc(0), Buffer.from([0xff, 0x7b]), completion('acme', 'x', { schema_version: 2 })],
    ...[completion('acme', 'old-1', occurredAt(-60)), completion('acme', 'old-2', occurredAt(-60))],
    ...[completion('acme', 'old-3', occurredAt(-60)), completion('acme', 'future', occurredAt(2))],
    ...[completion('acme', 'a', OTHER_USAGE), completion('acme', 'euros', EUROS)],
    completion('acme', 'large', { model: 'm'.repeat(5_000) }),
    completion('acme', 'dear', { pricing: { input_per_1k: '9223372037', output_per_1k: '1', currency: 'USD' } }),
  ]);
  await world.charge();
  const { pool, config, scripts } = world.ledger;
  const found = await new PostgresDeadLetterReader(pool).at(positionsOf(world));
  const letters = found.filter(({ reason }) => reason === 'OCCURRED_AT_TOO_OLD');
  const parts = chargingParts(config, { scripts, logger: createLogger({ level: 'fatal' }), clock: systemClock });
  const store = new PostgresDeadLetterStore(pool);
  const ports = {
    ...parts,
    limits: { ...parts.limits, eventAgeMaxMs: 100 * DAY_MS },
    letters: store,
    topics: new Map([[config.topicCompleted, 'completed' as const]]),
  };
  const signed = { actor: 'ops', reason: 'allowed', isDryRun: false };
  await redriveLetters(ports, { letters: letters.slice(0, 2), ...signed });
  const letter = found.find(({ reason }) => reason === 'CURRENCY_MISMATCH');
  invariant(letter !== undefined, 'one event is in another currency');
  const value = Buffer.from(JSON.stringify(completion('acme', 'euros')));
  await amendLetter(ports, { letter, value, ...signed });
  await discardLetters(
    { letters: store, clock: systemClock },
    { positions: letters.slice(2), actor: 'ops', reason: '-' },
  );
}

function positionsOf(world: ReconcileWorld): { topic: string; partition: number; kafkaOffset: bigint }[] {
  const source = world.source('completed');
  return Array.from({ length: 100 }, (_, offset) => ({ ...source, kafkaOffset: BigInt(offset) }));
}

async function commandAndExpire(world: ReconcileWorld): Promise<void> {
  await world.command('acme', { kind: 'refund', of: { traceId: 'a' }, amountNano: units('0.001') });
  await world.command('acme', { kind: 'adjust', amountNano: units('-2.5') });
  await world.command('acme', { kind: 'limits', terms: { dailyQuota: 1_000, monthlyQuota: null } });
  const prices = { outputPer1k: '2', meters: {} };
  await world.command('acme', { kind: 'price', traceId: 'unpriced', prices, allowNegative: false });
  await world.command('bolt', { kind: 'collect', traceId: 'failed', allowNegative: true });
  const { pool, config } = world.ledger;
  const expiry = new HoldExpiry({
    store: new PostgresLedgerStore(pool),
    dueHolds: new PostgresDueHolds(pool),
    clock: { nowMs: () => Date.now() + config.holdTtlMs + 1_000 },
    logger: createLogger({ level: 'fatal' }),
    intervalMs: 1_000,
    wakeProjector: () => undefined,
    onFatal: () => undefined,
  });
  await expiry.sweep();
}

/** The late completion of an expired hold, and repetitions of what was priced, collected and voided by hand. */
async function afterAll(world: ReconcileWorld): Promise<void> {
  await world.publish('completed', [
    ...[completion('acme', 'e'), completion('acme', 'unpriced', ONLY_INPUT_PRICE)],
    ...[completion('bolt', 'failed', UNSTREAMED), completion('acme', 'd'), completion('acme', 'f', UNSTREAMED)],
  ]);
  await world.publish('pending', [pending('acme', 'f'), pending('acme', 'g'), pending('acme', 'e')]);
  await world.charge({ chunk: 2 });
}
