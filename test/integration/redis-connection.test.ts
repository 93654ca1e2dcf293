/** The Redis connection: failing at once while the server is away, never crashing, usable again after a reconnect. */
import { createServer } from 'node:net';
import { expect } from 'chai';
import { QuotaScripts } from '../../src/lua/quota-scripts.js';
import { type ErrorCode, type TollbookError, isTollbookError } from '../../src/runtime/errors.js';
import { createRedis, reconnectDelayMs, redisError, waitForRedis } from '../../src/runtime/redis.js';
import { openTestRedis } from '../model/test-redis.js';

async function codeOf(work: Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await work;
  } catch (error) {
    return redisError(error).code;
  }
  return 'none';
}

/** A port that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('a connection to Redis', function () {
  this.timeout(20_000);

  it('fails commands at once, reports and goes on when no server is there', async () => {
    const heard: TollbookError[] = [];
    const redis = createRedis(`redis://127.0.0.1:${await freePort()}`, { onError: (error) => heard.push(error) });
    try {
      const scripts = new QuotaScripts(redis, { prefix: 'tb' });
      expect(await codeOf(scripts.deduct([{ tenantId: 'acme', ledgerSeq: 1, items: [] }], 1))).to.equal(
        'REDIS_UNAVAILABLE',
      );
      expect(await codeOf(scripts.versions(['acme']))).to.equal('REDIS_UNAVAILABLE');
      expect(await codeOf(waitForRedis(redis, 300))).to.equal('REDIS_UNAVAILABLE');
      expect(heard.map(({ code }) => code)).to.include('REDIS_UNAVAILABLE');
    } finally {
      redis.disconnect();
    }
  });

  it('runs scripts again after the server cut it off', async () => {
    const test = await openTestRedis();
    try {
      const scripts = new QuotaScripts(test.redis, { prefix: test.prefix });
      expect(await scripts.release('acme', 't')).to.equal(false);
      const cut = new Promise((resolve) => test.redis.once('close', resolve));
      await test.redis.client('KILL', 'ID', await test.redis.client('ID'), 'SKIPME', 'no');
      await cut;
      expect(await codeOf(scripts.release('acme', 't'))).to.equal('REDIS_UNAVAILABLE');
      await waitForRedis(test.redis, 5_000);
      expect(await scripts.release('acme', 't')).to.equal(false);
    } finally {
      await test.close();
    }
  });

  it('fails what was sent as soon as the connection is lost, without sending it again', async () => {
    const test = await openTestRedis();
    const killer = await openTestRedis();
    try {
      const waiting = codeOf(test.redis.blpop(`${test.prefix}:never`, 0));
      const id = String(await killer.redis.client('LIST'))
        .split('\n')
        .find((line) => line.includes(`name=${test.prefix}`));
      await killer.redis.client('KILL', 'ID', /id=(\d+)/.exec(id ?? '')?.[1] ?? '');
      expect(await waiting).to.equal('REDIS_UNAVAILABLE');
      await waitForRedis(test.redis, 5_000);
    } finally {
      await test.close();
      await killer.close();
    }
  });

  it('fails a command that takes longer than its deadline', async () => {
    const url = process.env['REDIS_URL'] ?? '';
    const redis = createRedis(url, { onError: () => undefined, commandTimeoutMs: 50 });
    try {
      await waitForRedis(redis, 5_000);
      expect(await codeOf(redis.blpop('tollbook-test-never', 1))).to.equal('REDIS_UNAVAILABLE');
    } finally {
      redis.disconnect();
    }
  });

  it('tells error replies that pass by themselves from those that do not, and both from mistakes', () => {
    const reply = (message: string): Error => Object.assign(new Error(message), { name: 'ReplyError' });
    expect(redisError(reply('LOADING Redis is loading the dataset in memory')).code).to.equal('REDIS_UNAVAILABLE');
    expect(redisError(reply('WRONGTYPE Operation against a key')).code).to.equal('REDIS_FAILED');
    expect(redisError(reply('OOM command not allowed')).code).to.equal('REDIS_FAILED');
    expect(redisError(new Error('Connection is closed.')).code).to.equal('REDIS_UNAVAILABLE');
    expect(redisError(new TypeError('x is not a function')).code).to.equal('INVARIANT_BROKEN');
    const ours = redisError(new Error('Connection is closed.'));
    expect(redisError(ours)).to.equal(ours);
    expect(isTollbookError(ours, 'REDIS_UNAVAILABLE')).to.equal(true);
  });

  it('pauses 50 ms before the first reconnect, doubling up to 2 s', () => {
    expect([1, 2, 3, 6, 7, 1_000].map(reconnectDelayMs)).to.deep.equal([50, 100, 200, 1_600, 2_000, 2_000]);
  });
});
