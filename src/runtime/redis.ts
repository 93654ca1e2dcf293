/**
 * Owns: how this project connects to Redis, and the one translation of its errors into ours.
 * Does not own: what is done meanwhile (PostgreSQL decides), nor the replies of scripts (lua/quota-replies.ts).
 * Invariants: a connection error never crashes the process; a command fails at once while there is no connection, and is
 * never sent again by the client, since a chunk rather decides without Redis than waits for it; a server that stands
 * still does not make memory grow.
 */
import { Redis } from 'ioredis';
import { TollbookError, isTollbookError } from './errors.js';

/** How to connect, and who hears of connection errors. */
export interface RedisConnectionOptions {
  /** Called with every connection error as REDIS_UNAVAILABLE; while a server is away, once a reconnect attempt. */
  readonly onError: (error: TollbookError) => void;
  /** How long one command may take, in milliseconds, before it fails with REDIS_UNAVAILABLE; absent: no limit. */
  readonly commandTimeoutMs?: number;
  /** How long establishing a connection may take, in milliseconds; default 2,000. */
  readonly connectTimeoutMs?: number;
  /** The name that CLIENT LIST shows; default `tollbook`. */
  readonly connectionName?: string;
}

const CONNECT_TIMEOUT_MS = 2_000;
/**
 * How long a server may owe an answer before its connection is given up. One that stands still would else collect a
 * question of every chunk in our memory, for as long as it stands. More than any script takes, and than any deadline.
 */
const SILENCE_MAX_MS = 10_000;
const RECONNECT_DELAY_MIN_MS = 50;
const RECONNECT_DELAY_MAX_MS = 2_000;

/** First word of an error reply → ours, for those that pass by themselves; every other error reply is REDIS_FAILED. */
const PASSING_REPLIES: ReadonlySet<string> = new Set([
  'BUSY',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'NOREPLICAS',
  'READONLY',
  'TRYAGAIN',
  'UNBLOCKED',
]);

/** Errors that only a mistake in the code raises, and that must not pass for a server that is away. */
const MISTAKES = [TypeError, RangeError, ReferenceError, SyntaxError];

/** Connects to `url` (redis:// or rediss://) in the background and reconnects for ever; `waitForRedis` waits for it. */
export function createRedis(url: string, options: RedisConnectionOptions): Redis {
  const redis = new Redis(url, {
    connectionName: options.connectionName ?? 'tollbook',
    connectTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...(options.commandTimeoutMs === undefined ? {} : { commandTimeout: options.commandTimeoutMs }),
    socketTimeout: SILENCE_MAX_MS,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    // 0 fails what was sent as soon as the connection is lost; anything above lets it wait for reconnects.
    maxRetriesPerRequest: 0,
    retryStrategy: reconnectDelayMs,
    // A replica that answers READONLY was the primary before a failover: connect anew to find the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  redis.on('error', (error: unknown) => {
    options.onError(redisError(error));
  });
  return redis;
}

/** The pause before the n-th reconnect (from 1) in milliseconds: 50, doubling, at most 2,000. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(RECONNECT_DELAY_MIN_MS * 2 ** (attempt - 1), RECONNECT_DELAY_MAX_MS);
}

/** Waits until commands can be sent. Throws REDIS_UNAVAILABLE when that takes longer than `timeoutMs`. */
export async function waitForRedis(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      redis.off('ready', settle);
      resolve();
    };
    const timer = setTimeout(() => {
      redis.off('ready', settle);
      reject(new TollbookError('REDIS_UNAVAILABLE', `Redis did not become ready within ${timeoutMs} ms`));
    }, timeoutMs);
    redis.on('ready', settle);
  });
}

/** Translates whatever ioredis threw: an error reply by its first word, everything of the connection as unavailable. */
export function redisError(error: unknown): TollbookError {
  if (isTollbookError(error)) return error;
  if (MISTAKES.some((mistake) => error instanceof mistake)) {
    return new TollbookError('INVARIANT_BROKEN', `a Redis command was called wrongly: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const reply = error instanceof Error && error.name === 'ReplyError' ? firstWord(error.message) : undefined;
  if (reply === undefined || PASSING_REPLIES.has(reply)) {
    return new TollbookError('REDIS_UNAVAILABLE', `Redis is unavailable: ${messageOf(error)}`, { cause: error });
  }
  return new TollbookError('REDIS_FAILED', `Redis refused a command: ${messageOf(error)}`, {
    cause: error,
    context: { reply },
  });
}

function firstWord(text: string): string {
  return text.split(' ', 1)[0] ?? '';
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String(error);
}
