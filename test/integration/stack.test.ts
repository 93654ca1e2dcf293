/**
 * Owns: the behaviour of the local stack with its real servers, in a folder of its own.
 * Does not own: the stack that the other tests run against.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Command } from 'commander';
import { Redis } from 'ioredis';
import { registerStackCommand } from '../../src/cli/stack-command.js';
import { isTollbookError } from '../../src/runtime/errors.js';
import { discoverStack } from '../../src/stack/discover.js';
import { stackDown, stackStatus, stackUp, startServer, stopServer } from '../../src/stack/local-stack.js';
import type { StackState } from '../../src/stack/stack-state.js';

const DEADLINE_MS = 10_000;

describe('local stack', () => {
  const dir = process.env['TOLLBOOK_STACK_UNDER_TEST'] ?? mkdtempSync(path.join(tmpdir(), 'tollbook-stack-test-'));

  before('brings the stack up', async function () {
    this.timeout(300_000); // the first run on a machine downloads the jars
    const { started } = await stackUp({ dir });
    expect(started).to.deep.equal(['kafka', 'postgres', 'redis']);
  });

  after('removes the stack', async () => {
    await stackDown({ dir, purge: true });
    rmSync(dir, { recursive: true, force: true });
  });

  it('starts nothing and keeps every address when it is brought up a second time', async () => {
    const first = stackStatus({ dir });
    const { addresses, started } = await stackUp({ dir });
    expect(started).to.deep.equal([]);
    expect(addresses).to.deep.equal(first.addresses);
    expect(stackStatus({ dir })).to.deep.equal(first);
  });

  it('prints one JSON object with the three settings and each server for status --json', async () => {
    const printed = JSON.parse(await stackCommand('status', '--json', '--dir', dir)) as Record<string, unknown>;
    const { addresses, servers } = stackStatus({ dir });
    expect(printed).to.include({ ...addresses, up: true });
    expect(printed['servers']).to.deep.equal(servers);
    expect(servers.kafka).to.include({ running: true, log: path.join(dir, 'logs', 'kafka.log') });
  });

  it('keeps its passwords from other users', () => {
    const mode = readMode(statePath());
    expect(mode).to.equal(0o600);
  });

  it('gives a stopped redis its port again, and returns it empty', async () => {
    const portBefore = stackStatus({ dir }).servers.redis.port;
    await withRedis((redis) => redis.set('remembered', 'yes'));
    expect(await stopServer('redis', { dir })).to.equal(true);
    expect(stackStatus({ dir })).to.nested.include({ up: false, 'servers.redis.running': false });
    expect(await startServer('redis', { dir })).to.equal(true);
    expect(stackStatus({ dir }).servers.redis.port).to.equal(portBefore);
    expect(await withRedis((redis) => redis.dbsize())).to.equal(0);
  });

  it('starts only the server that was killed from outside', async () => {
    const killed = stackStatus({ dir }).servers.postgres;
    process.kill(killed.pid ?? 0, 'SIGKILL');
    await until(() => !stackStatus({ dir }).servers.postgres.running);
    expect((await stackUp({ dir })).started).to.deep.equal(['postgres']);
    expect(stackStatus({ dir }).servers.postgres.port).to.equal(killed.port);
  });

  it('neither believes nor kills a process that was given a recorded process id', async () => {
    const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    await stopServer('redis', { dir });
    changeState((state) => {
      const record = state.servers.redis;
      if (record !== undefined) record.process = { pid: stranger.pid ?? 0, startToken: '1', marks: ['redis-server'] };
    });
    expect(stackStatus({ dir }).servers.redis.running).to.equal(false);
    expect(await stopServer('redis', { dir })).to.equal(false);
    expect(await startServer('redis', { dir })).to.equal(true);
    expect(stranger.exitCode ?? stranger.signalCode).to.equal(null);
    stranger.kill('SIGKILL');
  });

  it('lets two commands at once take turns, and breaks the lock of a dead one', async () => {
    await stopServer('redis', { dir });
    const gone = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => gone.once('exit', resolve));
    writeFileSync(path.join(dir, 'stack.lock'), `process ${gone.pid ?? 0} started 1`);
    const results = await Promise.all([stackUp({ dir }), stackUp({ dir })]);
    expect(results.flatMap(({ started }) => started)).to.deep.equal(['redis']);
  });

  it('takes a new port when another process has taken the old one', async () => {
    await stopServer('redis', { dir });
    const portBefore = stackStatus({ dir }).servers.redis.port ?? 0;
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(portBefore, '127.0.0.1', resolve));
    await startServer('redis', { dir });
    squatter.close();
    expect(stackStatus({ dir }).servers.redis.port).not.to.equal(portBefore);
    expect(await withRedis((redis) => redis.ping())).to.equal('PONG');
  });

  it('names the log and shows what it says last when a server does not start', async () => {
    await stopServer('postgres', { dir });
    const versionPath = path.join(readState().postgresRefuge ?? path.join(dir, 'postgres'), 'data', 'PG_VERSION');
    const original = readFileSync(versionPath, 'utf8');
    writeFileSync(versionPath, '9.1\n');
    const error: unknown = await startServer('postgres', { dir }).catch((caught: unknown) => caught);
    writeFileSync(versionPath, original);
    expect(isTollbookError(error, 'STACK_SERVER_FAILED')).to.equal(true);
    expect(String(error))
      .to.include(path.join(dir, 'logs', 'postgres.log'))
      .and.to.include('FATAL');
    expect(await startServer('postgres', { dir })).to.equal(true);
  });

  it('leaves no process behind when it is brought down, and is found only while it is up', async () => {
    const pids = Object.values(stackStatus({ dir }).servers).map(({ pid }) => pid ?? 0);
    expect(discoverIn(dir)).to.deep.equal(stackStatus({ dir }).addresses);
    const { stopped } = await stackDown({ dir });
    expect(stopped).to.deep.equal(['kafka', 'postgres', 'redis']);
    await until(() => !pids.some(isAlive));
    expect(discoverIn(dir)).to.equal(undefined);
    expect((await stackDown({ dir })).stopped).to.deep.equal([]);
  });

  function statePath(): string {
    return path.join(dir, 'state.json');
  }

  function readState(): StackState {
    return JSON.parse(readFileSync(statePath(), 'utf8')) as StackState;
  }

  function changeState(change: (state: StackState) => void): void {
    const state = readState();
    change(state);
    writeFileSync(statePath(), JSON.stringify(state));
  }

  async function withRedis<T>(action: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(stackStatus({ dir }).addresses?.REDIS_URL ?? '', { maxRetriesPerRequest: 1 });
    try {
      return await action(redis);
    } finally {
      redis.disconnect();
    }
  }
});

async function stackCommand(...args: readonly string[]): Promise<string> {
  let printed = '';
  const program = new Command().configureOutput({ writeOut: (text) => (printed += text), writeErr: () => undefined });
  registerStackCommand(program);
  await program.parseAsync(['stack', ...args], { from: 'user' });
  return printed;
}

function discoverIn(dir: string): ReturnType<typeof discoverStack> {
  const before = process.env['TOLLBOOK_STACK_DIR'];
  process.env['TOLLBOOK_STACK_DIR'] = dir;
  try {
    return discoverStack();
  } finally {
    if (before === undefined) delete process.env['TOLLBOOK_STACK_DIR'];
    else process.env['TOLLBOOK_STACK_DIR'] = before;
  }
}

function readMode(file: string): number {
  return statSync(file).mode & 0o777;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: no such process
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineAtMs = performance.now() + DEADLINE_MS;
  while (!condition()) {
    expect(performance.now(), 'waited too long').to.be.lessThan(deadlineAtMs);
    await delay(20);
  }
}
