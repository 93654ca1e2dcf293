/**
 * Owns: doing the faults of a soak run, one at a time: break, wait, mend.
 * Does not own: which and when (fault-plan.ts), how servers are broken (test/support/fault-stack.ts).
 * Invariants: when an act is over every server runs; every consumer runs or is being started.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { waitForRedis } from '../../src/runtime/redis.js';
import type { ServerName } from '../../src/stack/local-stack.js';
import {
  asSuperuser,
  cutConnections,
  isRunning,
  killServer,
  reviveServer,
  signalServer,
} from '../support/fault-stack.js';
import type { FaultWorld } from '../support/fault-world.js';
import type { PgBouncer } from '../support/pgbouncer.js';
import { joinAndLeave } from '../support/passing-member.js';
import { waitUntil } from '../support/wait-until.js';
import type { ConsumerCrew } from './consumer-crew.js';
import type { FaultKind, PlannedFault } from './fault-plan.js';
import { publishOddBatches } from './odd-batches.js';
import { spoilKeys } from './spoiled-keys.js';

/** What is broken. */
export interface Stage {
  readonly world: FaultWorld;
  readonly crew: ConsumerCrew;
  /** Stands between PostgreSQL and one of the consumers. */
  readonly bouncer: Pick<PgBouncer, 'restart'>;
}

const REDIS_WAIT_MS = 10_000;

type Act = (stage: Stage, fault: PlannedFault) => Promise<void>;

const ACTS: Readonly<Record<FaultKind, Act>> = {
  'consumer killed': async ({ crew }, { victim, holdMs }) => {
    await crew.kill(victim);
    await delay(holdMs);
    crew.fill(victim);
  },
  'consumer killed at a fault point': async ({ world, crew }, { victim, point, pass }) => {
    await crew.kill(victim);
    const armed = crew.fill(victim, `${point}=kill@${pass}`);
    await world.reached(armed, point);
    await armed.ended;
  },
  'consumer stopped, then continued': async ({ crew }, { victim, holdMs }) => {
    crew.signal(victim, 'SIGSTOP');
    await delay(holdMs);
    crew.signal(victim, 'SIGCONT');
  },
  'redis killed, back empty': (_stage, { holdMs }) => killAndRevive('redis', holdMs),
  'redis stopped, then continued': (_stage, { holdMs }) => pause('redis', holdMs),
  'redis FLUSHALL': async ({ world }) => {
    await (await redisOf(world)).flushall();
  },
  'redis SCRIPT FLUSH': async ({ world }) => {
    await (await redisOf(world)).script('FLUSH');
  },
  'postgres immediate stop': async (_stage, { holdMs }) => {
    signalServer('postgres', 'SIGQUIT');
    await waitUntil('PostgreSQL is gone', () => !isRunning('postgres'));
    await delay(holdMs);
    await reviveServer('postgres');
  },
  'postgres connections cut': ({ world }) => cutConnections(world.ledger.database.url),
  'kafka killed': (_stage, { holdMs }) => killAndRevive('kafka', holdMs),
  'kafka stopped, then continued': (_stage, { holdMs }) => pause('kafka', holdMs),
  'group rebalanced': ({ world, crew }) => joinAndLeave(world.ledger, crew.group),
  'postgres read-only': async (_stage, { holdMs }) => {
    try {
      await setReadOnly('on');
      await delay(holdMs);
    } finally {
      await setReadOnly('off');
    }
  },
  'pgbouncer killed': ({ bouncer }) => bouncer.restart(),
  'batches compressed and unreadable': ({ world }, { victim }) => publishOddBatches(world.ledger, victim),
  'consumer with a slow clock': async ({ crew }, { victim, holdMs }) => {
    await crew.kill(victim);
    const slow = crew.fillSlow(victim);
    await delay(holdMs);
    await crew.kill(victim);
    await slow.ended;
    crew.fill(victim);
  },
  'redis keys spoiled': async ({ world }, { pass }) => {
    await spoilKeys(await redisOf(world), world, pass);
  },
};

/** Does a fault and mends it. */
export function actOut(stage: Stage, fault: PlannedFault): Promise<void> {
  return ACTS[fault.kind](stage, fault);
}

/** Our own connection may have been cut by the fault before. */
async function redisOf({ ledger }: FaultWorld): Promise<Redis> {
  const { redis } = ledger.testRedis;
  await waitForRedis(redis, REDIS_WAIT_MS);
  return redis;
}

/** What sessions that are open already see too. */
async function setReadOnly(value: 'on' | 'off'): Promise<void> {
  await asSuperuser(`ALTER SYSTEM SET default_transaction_read_only = ${value}`);
  await asSuperuser('SELECT pg_reload_conf()');
}

async function killAndRevive(name: ServerName, holdMs: number): Promise<void> {
  await killServer(name);
  await delay(holdMs);
  await reviveServer(name);
}

async function pause(name: ServerName, holdMs: number): Promise<void> {
  signalServer(name, 'SIGSTOP');
  await delay(holdMs);
  signalServer(name, 'SIGCONT');
}
