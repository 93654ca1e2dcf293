/**
 * Owns: dead letters on a real PostgreSQL and Redis: making them by charging, redriving them under other limits, and
 * reading what became of them.
 * Does not own: the servers and the protocol (protocol-world.ts).
 */
import { expect } from 'chai';
import { redriveLetters } from '../../src/consumers/redrive.js';
import type { LetterRedrive, RedriveOrder, RedrivePorts } from '../../src/consumers/redrive-attempt.js';
import { letterName, type LetterSummary } from '../../src/ledger/dead-letter.js';
import { PostgresDeadLetterReader } from '../../src/ledger/postgres/postgres-dead-letter-reader.js';
import { PostgresDeadLetterStore } from '../../src/ledger/postgres/postgres-dead-letter-store.js';
import { HOLD_TTL_MS, NO_LIMITS, ProtocolWorld, type TestStream } from './protocol-world.js';
import { wireCompleted, type WireEvent } from './wire-usage.js';

const DAY_MS = 86_400_000;

/** When an event is too old for the worlds of tests, and not for their redrives: 73 days before NOON. */
export const TOO_OLD = '2026-01-01T12:00:00.000Z';

/** What a redrive wrote about a letter. */
export interface ActionText {
  readonly position: string;
  readonly action: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly outcome: string | null;
  readonly tenant_id: string | null;
  readonly trace_id: string | null;
  readonly source: string | null;
}

/** The protocol's world, with dead letters. */
export class RedriveWorld {
  readonly reader: PostgresDeadLetterReader;
  readonly store: PostgresDeadLetterStore;

  private constructor(readonly world: ProtocolWorld) {
    this.reader = new PostgresDeadLetterReader(world.pool);
    this.store = new PostgresDeadLetterStore(world.pool);
  }

  static async open(): Promise<RedriveWorld> {
    return new RedriveWorld(await ProtocolWorld.open());
  }

  close(): Promise<void> {
    return this.world.close();
  }

  /** Charges events that all become dead letters, and returns those in their order. */
  async bury(stream: TestStream, events: readonly (WireEvent | string)[]): Promise<LetterSummary[]> {
    const chunk = stream.chunk(events);
    await this.world.protocol().charge(chunk);
    const { topic, partition } = chunk.source;
    const letters = await this.reader.at(chunk.messages.map(({ kafkaOffset }) => ({ topic, partition, kafkaOffset })));
    expect(letters, 'every event is a dead letter').to.have.length(events.length);
    return letters;
  }

  /** Buries completions of one tenant that are too old; the n-th costs n units. */
  buryOld(tenantId: string, count: number): Promise<LetterSummary[]> {
    const fields = { occurred_at: TOO_OLD, stream: true };
    const events = Array.from({ length: count }, (_, index) =>
      wireCompleted({ tenantId, traceId: `${tenantId}-${index}`, units: index + 1, fields }),
    );
    return this.bury(this.world.stream('completed'), events);
  }

  /** The ports of a redrive that accepts events of the last 100 days; nothing else differs from charging. */
  ports(parts: Partial<RedrivePorts> = {}): RedrivePorts {
    return {
      letters: this.store,
      gate: this.world.gate(),
      clock: this.world.clock,
      limits: { eventBytesMax: 64 * 1024, eventAgeMaxMs: 100 * DAY_MS },
      defaults: { currency: 'USD', terms: NO_LIMITS },
      holdTtlMs: HOLD_TTL_MS,
      estimates: { outputTokensDefault: 4096, outputTokensMax: null },
      topics: new Map([
        ['usage.pending', 'pending'],
        ['usage.completed', 'completed'],
      ]),
      ...parts,
    };
  }

  redrive(
    letters: readonly LetterSummary[],
    parts: Partial<RedrivePorts> = {},
    order: Partial<RedriveOrder> = {},
  ): Promise<LetterRedrive[]> {
    return redriveLetters(this.ports(parts), {
      letters,
      actor: 'ops',
      reason: 'limit raised',
      isDryRun: false,
      ...order,
    });
  }

  /** What became of letters, by their order; undefined for one of which nothing is recorded. */
  async actions(letters: readonly LetterSummary[]): Promise<(ActionText | undefined)[]> {
    const rows = await this.world.rows<ActionText>(
      `SELECT topic || '/' || partition || '/' || kafka_offset AS position, action, actor, reason, outcome, tenant_id,
         trace_id, source_topic || '/' || source_partition || '/' || source_offset AS source
       FROM dead_letter_actions`,
    );
    return letters.map((letter) => rows.find(({ position }) => position === letterName(letter)));
  }

  /** The states that letters have now. */
  async states(letters: readonly LetterSummary[]): Promise<string[]> {
    return (await this.reader.at(letters)).map(({ state }) => state);
  }

  /** Everything that is stored, as one text per table: equal texts mean that nothing was written. */
  async everything(): Promise<Record<string, string>> {
    const contents: Record<string, string> = {};
    for (const table of TABLES) {
      const [row] = await this.world.rows<{ content: string | null }>(
        `SELECT string_agg(t::text, E'\\n' ORDER BY t::text) AS content FROM ${table} t`,
      );
      contents[table] = row?.content ?? '';
    }
    return contents;
  }
}

const TABLES = [
  ...['ledger_entries', 'accounts', 'open_holds', 'stream_cursors', 'ledger_batches', 'dead_letters'],
  ...['dead_letter_actions', 'skipped_events', 'unpriced_usage'],
];

/** What a redrive came to for one letter, in a few words. */
export function briefly(result: LetterRedrive): string {
  switch (result.kind) {
    case 'redriven':
      return result.entry === undefined
        ? result.outcome
        : `${result.outcome} ${result.entry.tenantId}#${result.entry.seq} ${result.entry.status}`;
    case 'closed':
      return `closed ${result.state}`;
    case 'stillDead':
      return `stillDead ${result.reason}`;
  }
}
