/**
 * Owns: the charge protocol on a real PostgreSQL and a real Redis, driven chunk by chunk without Kafka: a database and a
 * key prefix of its own, a clock that stands still, streams that number their messages, and the reads that tests compare.
 * Does not own: the events (wire-usage.ts), the faults (failing-store.ts), what must hold at rest (at-rest.ts).
 */
import pg from 'pg';
import { ChargeProtocol, type Chunk, type ChunkOutcome } from '../../src/consumers/charge-protocol.js';
import { HoldExpiry, type HoldExpiryOptions, type HoldSweep } from '../../src/consumers/hold-expiry.js';
import type { LedgerBounds } from '../../src/consumers/chunk-plan.js';
import type { IntakeLimits, UsageKind } from '../../src/consumers/intake.js';
import { type QuotaGate, RedisQuotaGate } from '../../src/consumers/quota-gate.js';
import type { Account, AccountTerms } from '../../src/ledger/account.js';
import type { SealedBatch, StreamSource } from '../../src/ledger/batch.js';
import { bookCommand, type CommandPorts, type CommandResult } from '../../src/ledger/commands/book-command.js';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { parseAmount, ZERO } from '../../src/ledger/money.js';
import type { LedgerAdvance } from '../../src/ledger/ledger-reader.js';
import type { LedgerStore } from '../../src/ledger/ledger-store.js';
import type { EstimateLimits } from '../../src/ledger/pricing.js';
import { PostgresDueHolds } from '../../src/ledger/postgres/due-holds.js';
import { PostgresLedgerReader } from '../../src/ledger/postgres/postgres-ledger-reader.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import { quotaKeys } from '../../src/lua/quota-keys.js';
import { type InflightItem, QuotaScripts } from '../../src/lua/quota-scripts.js';
import { type ProjectionResult, projectTenants } from '../../src/projections/projection.js';
import { createLogger, type Logger } from '../../src/runtime/logger.js';
import { openTestRedis, type TestRedis } from '../model/test-redis.js';
import { createTestDatabase, openApplicationPool, type TestDatabase } from './test-database.js';
import { NOON, type WireEvent } from './wire-usage.js';

/** Terms under which nothing but the balance limits a tenant. */
export const NO_LIMITS: AccountTerms = {
  creditLimitNano: ZERO,
  dailyQuota: null,
  monthlyQuota: null,
  holdPolicy: 'estimate',
};

/** How long the holds of a world stay open, in milliseconds, by the hold policy they are taken under. */
export const HOLD_TTL_MS = { estimate: 60_000, none: 30_000 };

/** What a test replaces of the protocol. */
export interface ProtocolParts {
  readonly estimates?: EstimateLimits;
  readonly priceBook?: string;
  readonly store?: LedgerStore;
  readonly gate?: QuotaGate;
  readonly terms?: AccountTerms;
  readonly limits?: IntakeLimits;
  readonly bounds?: LedgerBounds;
  readonly wakeProjector?: (advances: readonly LedgerAdvance[]) => void;
}

/** One row of the ledger as PostgreSQL writes it. */
export interface EntryText {
  readonly seq: string;
  readonly trace_id: string;
  readonly type: string;
  readonly status: string;
  readonly amount: string;
  readonly balance_after: string;
  readonly held_after: string;
  readonly description: string | null;
  readonly detail: Readonly<Record<string, string>> | null;
  readonly counted_on: string | null;
  readonly requests: number;
}

/** Numbers the messages of one source. */
export interface TestStream {
  readonly source: StreamSource;
  /** The next consecutive messages; `skip` offsets before them hold no message. */
  chunk(events: readonly (WireEvent | string)[], skip?: number): Chunk;
}

/** The servers, the protocol's parts on them, and what they hold. */
export class ProtocolWorld {
  readonly database: TestDatabase;
  readonly pool: pg.Pool;
  readonly server: TestRedis;
  readonly store: PostgresLedgerStore;
  readonly reader: PostgresLedgerReader;
  readonly scripts: QuotaScripts;
  readonly clock = { atMs: Date.parse(NOON) + 1000, nowMs: (): number => this.clock.atMs };
  readonly logLines: string[] = [];
  /** Every chunk that a stream of the world has made, for who reads its messages again. */
  readonly chunks: Chunk[] = [];
  readonly logger: Logger = createLogger({ level: 'debug' }, { write: (line) => void this.logLines.push(line) });
  #names = 0;

  private constructor(database: TestDatabase, server: TestRedis) {
    this.database = database;
    this.server = server;
    this.pool = openApplicationPool(database);
    // An ended pool does not wait for its connections to close: dropping the database may cut one off.
    this.pool.on('connect', (client) => client.on('error', (error) => void this.logLines.push(error.message)));
    this.store = new PostgresLedgerStore(this.pool);
    this.reader = new PostgresLedgerReader(this.pool);
    this.scripts = new QuotaScripts(server.redis, { prefix: server.prefix });
  }

  /** Creates the database and connects. Throws CONFIG_INVALID, POSTGRES_*, REDIS_UNAVAILABLE. */
  static async open(): Promise<ProtocolWorld> {
    const server = await openTestRedis();
    return new ProtocolWorld(await createTestDatabase(), server);
  }

  /** Drops the database and every key. */
  async close(): Promise<void> {
    await this.pool.end();
    await this.database.drop();
    await this.server.close();
  }

  /** A tenant no other test knows. */
  tenant(): string {
    this.#names += 1;
    return `tenant-${this.#names}`;
  }

  /** A source no other test knows, whose first message has offset `from`. */
  stream(kind: UsageKind, from = 0n): TestStream {
    this.#names += 1;
    const source = { topic: `usage.${kind}`, partition: this.#names };
    let next = from;
    return {
      source,
      chunk: (events, skip = 0): Chunk => {
        const first = next + BigInt(skip);
        next = first + BigInt(events.length);
        const messages = events.map((event, index) => messageOf(event, first + BigInt(index)));
        const made = { source, kind, messages, nextOffset: next };
        this.chunks.push(made);
        return made;
      },
    };
  }

  /** A gate on the world's Redis, or on other scripts; the deadline is long enough for a busy machine. */
  gate(scripts: QuotaScripts = this.scripts, deadlineMs = 5_000): QuotaGate {
    return new RedisQuotaGate({ scripts, deadlineMs, clock: this.clock, logger: this.logger });
  }

  protocol(parts: ProtocolParts = {}): ChargeProtocol {
    return new ChargeProtocol({
      store: parts.store ?? this.store,
      gate: parts.gate ?? this.gate(),
      clock: this.clock,
      limits: parts.limits ?? { eventBytesMax: 64 * 1024, eventAgeMaxMs: 40 * 24 * 3_600_000 },
      bounds: parts.bounds,
      defaults: { currency: 'USD', terms: parts.terms ?? NO_LIMITS },
      holdTtlMs: HOLD_TTL_MS,
      estimates: parts.estimates ?? { outputTokensDefault: 4096, outputTokensMax: null },
      priceBook: parts.priceBook,
      clusterId: 'test-cluster',
      wakeProjector: parts.wakeProjector ?? ((): void => undefined),
    });
  }

  /** The sweep for holds past their time, on the world's clock; it sweeps when it is told to, or started. */
  expiry(parts: Partial<HoldExpiryOptions> = {}): HoldExpiry {
    return new HoldExpiry({
      ...{ store: this.store, dueHolds: new PostgresDueHolds(this.pool), clock: this.clock, logger: this.logger },
      intervalMs: 5,
      wakeProjector: (): void => undefined,
      onFatal: (error) => void this.logLines.push(`fatal: ${error.message}`),
      ...parts,
    });
  }

  /** Lets the time of every open hold pass, and sweeps. */
  async expireHolds(): Promise<HoldSweep> {
    this.clock.atMs += HOLD_TTL_MS.estimate;
    return this.expiry().sweep();
  }

  /** Gives a tenant money through the credit command. */
  async credit(tenantId: string, units: string, terms: AccountTerms = NO_LIMITS): Promise<CommandResult> {
    this.#names += 1;
    const command = { tenantId, key: `credit-${this.#names}`, currency: 'USD', actor: 'ops', reason: 'top-up' };
    return this.command({ kind: 'credit', ...command, amountNano: parseAmount(units) }, { terms });
  }

  /** Books a command at the world's time. */
  command(command: LedgerCommand, parts: { store?: LedgerStore; terms?: AccountTerms } = {}): Promise<CommandResult> {
    const { store = this.store, terms = NO_LIMITS } = parts;
    const ports: CommandPorts = { store, clock: this.clock, defaults: { currency: 'USD', terms } };
    return bookCommand(ports, command);
  }

  project(tenantIds: readonly string[]): Promise<ProjectionResult> {
    return projectTenants({ reader: this.reader, scripts: this.scripts, logger: this.logger }, tenantIds);
  }

  async account(tenantId: string): Promise<Account | undefined> {
    return (await this.reader.readAccounts([tenantId])).get(tenantId);
  }

  async entries(tenantId: string): Promise<EntryText[]> {
    return this.rows<EntryText>(
      `SELECT seq, trace_id, type, status, amount, balance_after, held_after, description, detail,
         counted_on::text AS counted_on, requests
       FROM ledger_entries WHERE tenant_id = $1 ORDER BY seq`,
      [tenantId],
    );
  }

  /** The statuses of a tenant's usage entries, in order. */
  async statuses(tenantId: string): Promise<string[]> {
    return (await this.entries(tenantId)).filter(({ type }) => type === 'DEDUCT').map(({ status }) => status);
  }

  async hash(tenantId: string): Promise<Record<string, string>> {
    return this.server.redis.hgetall(quotaKeys(this.server.prefix, tenantId).quota);
  }

  async inFlight(tenantId: string): Promise<readonly InflightItem[]> {
    return (await this.scripts.readInflight([tenantId]))[0] ?? [];
  }

  async rows<R extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []): Promise<R[]> {
    return (await this.pool.query<R>(sql, [...values])).rows;
  }

  /** Runs statements as the owner of the tables, whom neither rights nor, once disabled, triggers hold back. */
  async asOwner(...statements: readonly string[]): Promise<void> {
    const owner = new pg.Client({ connectionString: this.database.url });
    await owner.connect();
    try {
      for (const statement of statements) await owner.query(statement);
    } finally {
      await owner.end();
    }
  }
}

/** The batch of a charged chunk; fails the test for any other outcome. */
export function batchOf(outcome: ChunkOutcome): SealedBatch {
  if (outcome.kind !== 'charged') throw new Error(`expected a charged chunk, found ${outcome.kind}`);
  return outcome.batch;
}

function messageOf(event: WireEvent | string, kafkaOffset: bigint): Chunk['messages'][number] {
  const value = Buffer.from(typeof event === 'string' ? event : JSON.stringify(event));
  return { kafkaOffset, key: null, value, headers: {} };
}
