/**
 * Owns: replaying the ledger of a protocol's world into a shadow: its messages from memory, its settings, and what is left
 * of shadows afterwards.
 * Does not own: the world (protocol-world.ts).
 */
import type { ChargeProtocolOptions } from '../../src/consumers/charge-protocol.js';
import type { ChunkMessage } from '../../src/consumers/intake.js';
import { letterName } from '../../src/ledger/dead-letter.js';
import type { LedgerStore, LedgerTransaction } from '../../src/ledger/ledger-store.js';
import type { MessageFeed } from '../../src/reconciliation/shadow/message-feed.js';
import type { ReplayPorts } from '../../src/reconciliation/shadow/replay-batch.js';
import {
  replayIntoShadow,
  type ShadowReplay,
  type ShadowReplayOrder,
  type ShadowReplayPorts,
  type ShadowReplayWatch,
} from '../../src/reconciliation/shadow/shadow-replay.js';
import { HOLD_TTL_MS, NO_LIMITS, type ProtocolWorld } from './protocol-world.js';

/** Hands out the messages that the streams of a world have made, from some offsets on. */
export function feedOf(world: ProtocolWorld, logStart: ReadonlyMap<string, bigint> = new Map()): MessageFeed {
  const messagesOf = (topic: string, partition: number): readonly ChunkMessage[] =>
    world.chunks
      .filter(({ source }) => source.topic === topic && source.partition === partition)
      .flatMap(({ messages }) => messages);
  return {
    take: ({ topic, partition }, { from, to }) =>
      Promise.resolve({
        messages: messagesOf(topic, partition).filter(({ kafkaOffset }) => kafkaOffset >= from && kafkaOffset < to),
        isComplete: from >= (logStart.get(`${topic}/${partition}`) ?? 0n),
      }),
    at: (positions) =>
      Promise.resolve(
        new Map(
          positions.flatMap((position) =>
            messagesOf(position.topic, position.partition)
              .filter(({ kafkaOffset }) => kafkaOffset === position.kafkaOffset)
              .map((message) => [letterName(position), message] as const),
          ),
        ),
      ),
  };
}

/** What differs from a plain replay of everything. */
export interface ReplayChoices {
  readonly order?: Partial<ShadowReplayOrder>;
  readonly ports?: Partial<ShadowReplayPorts>;
  readonly charging?: Partial<ReplayPorts['charging']>;
  readonly watch?: Partial<ShadowReplayWatch>;
}

/** Replays the ledger of a world with the settings it was charged under. */
export function replayWorld(world: ProtocolWorld, choices: ReplayChoices = {}): Promise<ShadowReplay> {
  return replayIntoShadow(
    {
      live: world.pool,
      ownerUrl: world.database.url,
      feed: feedOf(world),
      logs: [],
      topics: new Map([
        ['usage.pending', 'pending'],
        ['usage.completed', 'completed'],
      ]),
      clusterId: 'test-cluster',
      charging: {
        limits: { eventBytesMax: 64 * 1024, eventAgeMaxMs: 40 * 24 * 3_600_000 },
        defaults: { currency: 'USD', terms: NO_LIMITS },
        holdTtlMs: HOLD_TTL_MS,
        estimates: { outputTokensDefault: 4096, outputTokensMax: null },
        ...choices.charging,
      },
      nowMs: () => performance.now(),
      ...choices.ports,
    },
    { isKept: false, keptMax: 20, ...choices.order },
    { signal: new AbortController().signal, onPhase: nothing, onProgress: nothing, ...choices.watch },
  );
}

function nothing(): void {
  // Nobody watches.
}

/** What differs, in a line a row. */
export function toldOf({ comparison, replay }: ShadowReplay): string[] {
  const rows = comparison.differences.first.map(({ table, key, kind, fields }) => {
    const values = fields.map(({ field, live, shadow }) => ` ${field} ${live} → ${shadow}`);
    return `${table} ${Object.values(key).join('/')} ${kind}${values.join(',')}`;
  });
  return [...replay.firstProblems.map(({ why }) => why), ...rows];
}

/** How many rows of each table were compared; tables without any are left out. */
export function comparedRows({ comparison }: ShadowReplay): Record<string, number> {
  const tables = comparison.differences.tables.filter(({ rows }) => rows > 0);
  return Object.fromEntries(tables.map(({ table, rows }) => [table, rows]));
}

/** The options of a protocol on a store whose accounts are not as they are stored. */
export function withAccounts(
  options: ChargeProtocolOptions,
  seen: (accounts: Awaited<ReturnType<LedgerTransaction['lockAccounts']>>) => typeof accounts,
): ChargeProtocolOptions {
  const { store } = options;
  const work: LedgerStore['transact'] = (inner) =>
    store.transact((transaction) =>
      inner(
        new Proxy(transaction, {
          get: (target, name) => {
            if (name === 'lockAccounts') {
              return async (tenantIds: readonly string[]) => seen(await target.lockAccounts(tenantIds));
            }
            if (name === 'lockOpenAccounts') {
              return async (tenantIds: readonly string[]) => {
                const accounts = await target.lockOpenAccounts(tenantIds);
                return accounts === undefined ? undefined : seen(accounts);
              };
            }
            const value: unknown = Reflect.get(target, name);
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
          },
        }),
      ),
    );
  return { ...options, store: { transact: work } };
}
