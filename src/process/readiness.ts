/**
 * Owns: what a running process tells of itself: its servers, its stopped partitions, its place in the group, what it has
 * still to project; and whether that is ready, degraded or not ready.
 * Does not own: serving it (runtime/metrics-endpoint.ts), nor storing it (process-reports.ts).
 * Invariants:
 * - Not ready: Kafka or PostgreSQL does not answer, a partition is stopped, it is no member of its group, or it starts or stops.
 * - Degraded: it charges everything, but Redis does not answer: PostgreSQL decides meanwhile, and hashes are behind. Or
 *   PostgreSQL was put back to an earlier state, and commands that were booked are gone.
 */
import { type ErrorCode, ERROR_CODES } from '../runtime/errors.js';
import type { ServerState } from '../runtime/server-watch.js';
import type { LostHistory } from '../command-journal/history-watch.js';
import type { UsageConsumer } from '../consumers/usage-consumer.js';
import type { StoppedPartition } from '../consumers/stopped-partitions.js';

/** What a process is at. */
export type ProcessPhase = 'starting' | 'running' | 'stopping';

/** How a process stands. */
export type Standing = 'ready' | 'degraded' | 'not_ready';

/** A stopped partition, as it is told. */
export interface BlockedDocument {
  readonly topic: string;
  readonly partition: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly since: string;
  readonly seconds: number;
  readonly attempts: number;
  readonly last_tried_at: string;
  readonly remedy: string;
}

/** Batches of commands, redrives or repairs that PostgreSQL had and no longer has, as they are told. */
export interface LostHistoryDocument {
  readonly code: ErrorCode;
  readonly topic: string;
  readonly partition: number;
  readonly from_batch: number;
  readonly to_batch: number;
  readonly last_hash: string;
  readonly last_sealed_at: string;
  readonly since: string;
  readonly remedy: string;
}

/** What a process tells. */
export interface ReadinessDocument {
  readonly status: Standing;
  readonly phase: ProcessPhase;
  readonly servers: readonly object[];
  readonly blocked: readonly BlockedDocument[];
  readonly lost_history: readonly LostHistoryDocument[];
  readonly group: GroupDocument | null;
  readonly projections: { readonly waiting: number; readonly failures: number } | null;
}

interface GroupDocument {
  readonly id: string;
  readonly is_member: boolean;
  readonly since: string;
  /** Which partitions of each topic it was given. */
  readonly partitions: Readonly<Record<string, readonly number[]>>;
}

/** Where it is read from, as far as the process has it yet. */
export interface ReadinessParts {
  phase: ProcessPhase;
  consumer?: Pick<UsageConsumer, 'membership' | 'stopped'>;
  groupId?: string;
  lostHistory?: () => readonly LostHistory[];
  projections?: () => { readonly waiting: number; readonly failures: number };
}

/** What the process tells now. */
export function readinessOf(parts: ReadinessParts, servers: readonly ServerState[], nowMs: number): ReadinessDocument {
  const { phase, consumer, groupId = '', lostHistory, projections } = parts;
  const blocked = (consumer?.stopped() ?? []).map((stopped) => blockedDocument(stopped, nowMs));
  const group = consumer === undefined ? null : groupDocument(consumer, groupId);
  const lost = (lostHistory?.() ?? []).map(lostDocument);
  const figures = projections?.();
  return {
    status: standingOf(servers, {
      charges: phase === 'running' && blocked.length === 0 && group?.is_member !== false,
      isWhole: lost.length === 0,
    }),
    phase,
    servers: servers.map(serverDocument),
    blocked,
    lost_history: lost,
    group,
    projections: figures === undefined ? null : { waiting: figures.waiting, failures: figures.failures },
  };
}

function standingOf(
  servers: readonly ServerState[],
  { charges, isWhole }: { readonly charges: boolean; readonly isWhole: boolean },
): Standing {
  const away = servers.filter(({ isOk }) => !isOk).map(({ name }) => name);
  if (!charges || away.some((name) => name !== 'redis')) return 'not_ready';
  return away.length > 0 || !isWhole ? 'degraded' : 'ready';
}

function serverDocument({ name, isOk, cause, sinceMs, latencyMs }: ServerState): object {
  return {
    name,
    ok: isOk,
    since: instantOf(sinceMs),
    ...(latencyMs === undefined ? {} : { latency_ms: Math.round(latencyMs * 10) / 10 }),
    ...(cause === undefined ? {} : { cause }),
  };
}

function blockedDocument(stopped: StoppedPartition, nowMs: number): BlockedDocument {
  const { source, code, message, sinceMs, attempts, lastTriedAtMs } = stopped;
  return {
    ...source,
    code,
    message,
    since: instantOf(sinceMs),
    seconds: blockedSeconds(stopped, nowMs),
    attempts,
    last_tried_at: instantOf(lastTriedAtMs),
    remedy: ERROR_CODES[code].remedy,
  };
}

function lostDocument({ source, from, to, lastHash, lastSealedAt, sinceMs, remedy }: LostHistory): LostHistoryDocument {
  return {
    ...{ code: 'HISTORY_WENT_BACK', ...source, from_batch: from, to_batch: to },
    ...{ last_hash: lastHash, last_sealed_at: lastSealedAt, since: instantOf(sinceMs), remedy },
  };
}

/** How long a partition has stood, in seconds. */
export function blockedSeconds({ sinceMs }: StoppedPartition, nowMs: number): number {
  return Math.max(0, Math.round(nowMs - sinceMs) / 1000);
}

function groupDocument({ membership }: Pick<UsageConsumer, 'membership'>, id: string): GroupDocument {
  const { isMember, sinceMs, assigned } = membership;
  const partitions = new Map<string, number[]>();
  for (const { topic, partition } of assigned) partitions.set(topic, [...(partitions.get(topic) ?? []), partition]);
  for (const each of partitions.values()) each.sort((left, right) => left - right);
  return { id, is_member: isMember, since: instantOf(sinceMs), partitions: Object.fromEntries(partitions) };
}

function instantOf(ms: number): string {
  return new Date(ms).toISOString();
}
