/**
 * Owns: topics and the ledger that charged them, on real servers, for tests that compare the two: publishing, charging
 * chunk by chunk in the order a test wants (with a planted bug if it wants one), comparing, and the command line.
 * Does not own: the database, the topics and their removal (ledger-world.ts), the forging of rows (forgery.ts).
 */
import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { chargingParts } from '../../src/cli/charging-parts.js';
import { ChargeProtocol, type Chunk } from '../../src/consumers/charge-protocol.js';
import type { UsageKind } from '../../src/consumers/intake.js';
import type { StreamSource } from '../../src/ledger/batch.js';
import { bookCommand } from '../../src/ledger/commands/book-command.js';
import type { LedgerCommand } from '../../src/ledger/commands/command.js';
import { parseAmount } from '../../src/ledger/money.js';
import { PostgresLedgerStore } from '../../src/ledger/postgres/postgres-ledger-store.js';
import type { Finding } from '../../src/reconciliation/reconcile/findings.js';
import type { RangeRequest } from '../../src/reconciliation/reconcile/frozen-ranges.js';
import {
  reconcile,
  type ReconcileOrder,
  type ReconcilePorts,
  type ReconcileResult,
} from '../../src/reconciliation/reconcile/reconcile.js';
import { TopicReader } from '../../src/reconciliation/topic/topic-reader.js';
import { systemClock } from '../../src/runtime/clock.js';
import { createLogger } from '../../src/runtime/logger.js';
import { type CommandChoices, commandOf } from './command-samples.js';
import { LedgerWorld, type WorldOptions } from './ledger-world.js';
import { type CliResult, runTollbook } from './tollbook-cli.js';
import type { WireEvent } from './usage-messages.js';

const { Partitioners } = kafkajs;

/** How some messages are charged. */
export interface Charging {
  /** Messages a chunk; default 100. */
  readonly chunk?: number;
  /** What the consumer makes of a chunk before it charges it: a bug. */
  readonly spoil?: (chunk: Chunk) => Chunk;
  readonly priceBook?: string;
  /** The time of the ledger; default now. */
  readonly nowMs?: number;
}

/** Bytes, or an event that is written as JSON. */
export type Published = WireEvent | string | Buffer;

/** Topics and their ledger. */
export class ReconcileWorld {
  readonly ports: ReconcilePorts;
  readonly #producer;

  private constructor(
    readonly ledger: LedgerWorld,
    readonly reader: TopicReader,
  ) {
    const { config, pool, kafka } = ledger;
    const { estimateOutputTokensDefault: outputTokensDefault, defaultCurrency, eventBytesMax } = config;
    const settings = {
      estimates: { outputTokensDefault, outputTokensMax: null },
      ...{ defaultCurrency, eventBytesMax },
    };
    this.ports = { pool, reader, settings, clock: systemClock };
    this.#producer = kafka.producer({
      ...{ idempotent: true, maxInFlightRequests: 1 },
      createPartitioner: Partitioners.DefaultPartitioner,
    });
  }

  static async open(options: WorldOptions = {}): Promise<ReconcileWorld> {
    const ledger = await LedgerWorld.create({ partitions: 2, ...options });
    const world = new ReconcileWorld(ledger, await TopicReader.open(ledger.kafka, ledger.topics));
    await world.#producer.connect();
    return world;
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
    await this.reader.close();
    await this.ledger.close();
  }

  /** The source of a partition. */
  source(kind: UsageKind, partition = 0): StreamSource {
    const [pending, completed] = this.ledger.topics;
    return { topic: kind === 'pending' ? pending : completed, partition };
  }

  /** Publishes to one partition, in order; `agoMs` before now. */
  async publish(kind: UsageKind, published: readonly Published[], partition = 0, agoMs = 0): Promise<void> {
    const timestamp = String(Date.now() - agoMs);
    const messages = published.map((each) => ({
      ...{ partition, timestamp },
      key: Buffer.isBuffer(each) || typeof each === 'string' ? null : String(each['tenant_id']),
      value: Buffer.isBuffer(each) || typeof each === 'string' ? each : JSON.stringify(each),
    }));
    await this.#producer.send({ topic: this.source(kind, partition).topic, messages, acks: -1 });
  }

  /** Charges everything that is published and not charged yet, source by source. */
  async charge(charging: Charging = {}): Promise<void> {
    const protocol = this.protocol(charging);
    for (const kind of ['pending', 'completed'] as const) {
      for (const { source, start, end } of await this.reader.bounds(this.source(kind).topic)) {
        const cursor = await this.ledger.reader.readCursor(source);
        const from = cursor?.nextOffset ?? start;
        const reader = this.reader.partition(source, { from, bytesMax: 512 * 1024 });
        const step = BigInt(charging.chunk ?? 100);
        for (let at = from; at < end; at += step) {
          const nextOffset = at + step < end ? at + step : end;
          const { messages } = await reader.take(nextOffset);
          const chunk: Chunk = { source, kind, messages, nextOffset, from: at };
          expect((await protocol.charge(charging.spoil?.(chunk) ?? chunk)).kind).to.equal('charged');
        }
      }
    }
  }

  /** The charge protocol on this world's servers. */
  protocol({ priceBook, nowMs }: Charging = {}): ChargeProtocol {
    const { config, scripts, pool } = this.ledger;
    return new ChargeProtocol({
      ...chargingParts(config, { scripts, logger: createLogger({ level: 'fatal' }), clock: systemClock }),
      ...(nowMs === undefined ? {} : { clock: { nowMs: () => nowMs } }),
      ...(priceBook === undefined ? {} : { priceBook }),
      store: new PostgresLedgerStore(pool),
      clusterId: this.reader.clusterId,
      wakeProjector: () => undefined,
    });
  }

  /** Books a command of a tenant. */
  async command(tenantId: string, choices: CommandChoices): Promise<void> {
    await this.book(commandOf(tenantId, choices));
  }

  /** Puts so much into an account. */
  credit(tenantId: string, units: string): Promise<void> {
    return this.command(tenantId, { kind: 'credit', amountNano: parseAmount(units), currency: 'USD' });
  }

  private async book(command: LedgerCommand): Promise<void> {
    const { config, scripts, pool } = this.ledger;
    const { clock, defaults } = chargingParts(config, {
      scripts,
      logger: createLogger({ level: 'fatal' }),
      clock: systemClock,
    });
    await bookCommand({ store: new PostgresLedgerStore(pool), clock, defaults }, command);
  }

  /** Compares the topics, or part of them, with the ledger. */
  compare(request: Partial<RangeRequest> = {}, order: Partial<ReconcileOrder> = {}): Promise<ReconcileResult> {
    const [pending, completed] = this.ledger.topics;
    const topics = [
      { topic: pending, kind: 'pending' as const },
      { topic: completed, kind: 'completed' as const },
    ];
    const whole = { topics, ...request };
    return reconcile(this.ports, { request: whole, coversAllTopics: whole.topics.length === 2, ...order });
  }

  /** What a comparison finds wrong. */
  async findings(request: Partial<RangeRequest> = {}): Promise<readonly Finding[]> {
    const { state, verdict } = await this.compare(request);
    expect(verdict === 'different').to.equal(state.findings.length > 0);
    return state.findings;
  }

  /** Fails unless both sides are equal, digests included. */
  async expectEqual(): Promise<ReconcileResult> {
    const result = await this.compare();
    expect(result.state.findings).to.deep.equal([]);
    expect(result.verdict).to.equal('equal');
    for (const { expectedDigest, actualDigest } of result.state.ranges) expect(actualDigest).to.equal(expectedDigest);
    return result;
  }

  /** `tollbook reconcile …args`. */
  reconcileCommand(...args: readonly string[]): Promise<CliResult> {
    return runTollbook(['reconcile', ...args], this.ledger.environment as Record<string, string>);
  }
}

/** Findings in a few words: kind, position, and the fields that differ. */
export function briefly(findings: readonly Finding[]): string[] {
  return findings.map(({ kind, at, fields }) => {
    const place = at.replace(/^usage\.(pending|completed)\.[0-9a-f]+\//, '$1/');
    const names = fields === undefined ? '' : ` ${fields.map(({ field }) => field).join(',')}`;
    return `${kind} ${place}${names}`;
  });
}
