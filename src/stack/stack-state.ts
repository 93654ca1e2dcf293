/**
 * Owns: the state file of the local stack: which process serves which port, the generated passwords, and whether the
 * stack was brought up.
 * Does not own: whether those processes still live (server-process.ts).
 * Invariants: the file is replaced whole (written aside, then renamed) and only its owner may read it, because it holds
 * passwords; a file that cannot be understood counts as absent.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ProcessIdentity } from './server-process.js';

/** The servers of a local stack with one broker, in the order they are shown. */
export const SERVER_NAMES = ['kafka', 'postgres', 'redis'] as const;

/** The brokers of the largest cluster; a stack with one broker has the first. */
export const BROKER_NAMES = ['kafka', 'kafka-2', 'kafka-3'] as const;

/** How many brokers a stack can have: fewer than three cannot lose one, more show nothing new. */
export const BROKER_COUNTS = [1, BROKER_NAMES.length] as const;

/** One broker of the local stack. */
export type BrokerName = (typeof BROKER_NAMES)[number];

/** One server of the local stack. */
export type ServerName = (typeof SERVER_NAMES)[number] | BrokerName;

/** Something of each server that every stack has, and of the further brokers where there are three. */
export type PerServer<T> = Record<(typeof SERVER_NAMES)[number], T> & Partial<Record<BrokerName, T>>;

/** The three settings by which every command finds its servers. */
export interface StackAddresses {
  readonly KAFKA_BROKERS: string;
  readonly DATABASE_URL: string;
  readonly REDIS_URL: string;
}

/** Settings beside the addresses that hold on a local stack unless they are given: it keeps a journal of commands. */
export const STACK_DEFAULTS = { TOLLBOOK_COMMANDS_TOPIC: 'ledger.commands' } as const;

/** What is remembered of one server: its ports stay its own while it is down. */
export interface ServerRecord {
  port: number;
  /** The second port of a server that needs two (Kafka's controller); 0 for the others. */
  controllerPort: number;
  /** The process that serves the port, or null while the server is stopped. */
  process: ProcessIdentity | null;
}

/** The content of the state file. */
export interface StackState {
  schemaVersion: 1;
  /** True from the end of a successful `up` until `down`, also while one server is stopped on purpose. */
  up: boolean;
  /** Password of the PostgreSQL superuser `postgres`. */
  adminPassword: string;
  /** Password of the role `tollbook_owner`. */
  ownerPassword: string;
  kafkaClusterId: string;
  /** How many brokers the Kafka cluster has; a cluster keeps its number for life. One when it is not said. */
  brokers?: number;
  /** A folder outside the stack folder, when the user PostgreSQL runs as cannot enter the stack folder; else null. */
  postgresRefuge: string | null;
  servers: Partial<Record<ServerName, ServerRecord>>;
}

/** The folder of the local stack: the argument, else TOLLBOOK_STACK_DIR, else `.tollbook/stack` below `startDir`. */
export function resolveStackDir(dir?: string, startDir: string = process.cwd()): string {
  return path.resolve(startDir, dir ?? process.env['TOLLBOOK_STACK_DIR'] ?? path.join('.tollbook', 'stack'));
}

/** The brokers of a stack. */
export function brokersOf({ brokers = 1 }: Pick<StackState, 'brokers'>): readonly BrokerName[] {
  return BROKER_NAMES.slice(0, brokers);
}

/** The servers of a stack, in the order they are shown. */
export function serversOf(state: Pick<StackState, 'brokers'>): readonly ServerName[] {
  return [...brokersOf(state), 'postgres', 'redis'];
}

/** The log file of one server. */
export function logPathOf(dir: string, server: ServerName): string {
  return path.join(dir, 'logs', `${server}.log`);
}

/** Reads the state file of a stack folder; undefined when there is none or it cannot be understood. */
export function readState(dir: string): StackState | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(statePathOf(dir), 'utf8'));
    return isStackState(parsed) ? parsed : undefined;
  } catch {
    return undefined; // absent, or cut short by a full disk: the next `up` writes a new one
  }
}

/** Replaces the state file. Atomic: a reader sees the old content or the new, never a part. */
export function writeState(dir: string, state: StackState): void {
  const asidePath = `${statePathOf(dir)}.${String(process.pid)}`;
  writeFileSync(asidePath, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(asidePath, statePathOf(dir));
}

/** Makes the stack folder and reads its state, or starts a new one with fresh passwords and a fresh Kafka cluster id. */
export function openState(dir: string): StackState {
  mkdirSync(path.join(dir, 'logs'), { recursive: true });
  chmodSync(dir, 0o755); // the unprivileged user of PostgreSQL passes through here, whatever the umask says
  const known = readState(dir);
  if (known !== undefined) return known;
  const fresh = newState();
  writeState(dir, fresh);
  return fresh;
}

/** The three settings of a stack whose servers all have ports; undefined before the first `up` has given them out. */
export function addressesOf(state: StackState): StackAddresses | undefined {
  const { postgres, redis } = state.servers;
  const brokerPorts = brokersOf(state).flatMap((name) => state.servers[name]?.port ?? []);
  if (brokerPorts.length < brokersOf(state).length || postgres === undefined || redis === undefined) return undefined;
  return {
    KAFKA_BROKERS: brokerPorts.map((port) => `127.0.0.1:${String(port)}`).join(','),
    DATABASE_URL: `postgres://tollbook_owner:${state.ownerPassword}@127.0.0.1:${String(postgres.port)}/tollbook`,
    REDIS_URL: `redis://127.0.0.1:${String(redis.port)}`,
  };
}

function statePathOf(dir: string): string {
  return path.join(dir, 'state.json');
}

function newState(): StackState {
  return {
    schemaVersion: 1,
    up: false,
    adminPassword: randomBytes(18).toString('hex'),
    ownerPassword: randomBytes(18).toString('hex'),
    // Kafka reads a cluster id as base64url of 16 bytes; a leading dash would look like an option.
    kafkaClusterId: randomBytes(16).toString('base64url').replace(/^-/, 'A'),
    postgresRefuge: null,
    servers: {},
  };
}

function isStackState(value: unknown): value is StackState {
  return typeof value === 'object' && value !== null && 'schemaVersion' in value && value.schemaVersion === 1;
}
