/** Owns: the proof that settings are checked together, told without secrets, and frozen. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { MAX_OUTPUT_TOKENS_DEFAULT } from '../../../src/contract/usage-pending-dto.js';
import { type Environment, environmentOf, loadConfig, SETTINGS } from '../../../src/runtime/config.js';
import { isTollbookError } from '../../../src/runtime/errors.js';
import { recognise } from '../../../src/stack/server-process.js';
import { openState, writeState } from '../../../src/stack/stack-state.js';

const COMPLETE = {
  KAFKA_BROKERS: 'kafka-1:9092,kafka-2:9092',
  DATABASE_URL: 'postgres://app:s3cret@db:5432/tollbook',
  REDIS_URL: 'rediss://:s3cret@redis:6380',
};

function problemsOf(environment: Environment): { message: string; problems: readonly string[] } {
  try {
    loadConfig(environment);
  } catch (error) {
    if (!isTollbookError(error, 'CONFIG_INVALID')) throw error;
    return { message: error.message, problems: error.context['problems'] as readonly string[] };
  }
  return { message: '', problems: [] };
}

describe('the settings', () => {
  const stackDirBefore = process.env['TOLLBOOK_STACK_DIR'];
  let stackDir: string;

  beforeEach(() => {
    stackDir = mkdtempSync(path.join(tmpdir(), 'tollbook-config-'));
    process.env['TOLLBOOK_STACK_DIR'] = stackDir;
  });

  afterEach(() => {
    if (stackDirBefore === undefined) delete process.env['TOLLBOOK_STACK_DIR'];
    else process.env['TOLLBOOK_STACK_DIR'] = stackDirBefore;
    rmSync(stackDir, { recursive: true, force: true });
  });

  /** A stack whose three servers are, for all anyone can tell, this very process. */
  function recordStack(up: boolean): void {
    const state = openState(stackDir);
    const process_ = recognise(process.pid, ['node']);
    const server = (port: number) => ({ port, controllerPort: 0, process: process_ });
    writeState(stackDir, {
      ...{ ...state, up, ownerPassword: 'pw' },
      servers: { kafka: server(1), postgres: server(2), redis: server(3) },
    });
  }

  it('have defaults for all but the three addresses', () => {
    const config = loadConfig(COMPLETE);
    expect(config).to.include({
      ...{ databaseOwnerUrl: COMPLETE.DATABASE_URL, databaseRole: 'tollbook_app', redisPrefix: 'tollbook' },
      ...{ topicPending: 'usage.pending', topicCompleted: 'usage.completed', consumerGroup: 'tollbook-ledger' },
      ...{
        chunkMessagesMax: 4000,
        partitionsConcurrent: 3,
        redisDeadlineMs: 250,
        retryPauseMaxMs: 10_000,
        eventBytesMax: 262_144,
      },
      ...{ eventAgeMaxMs: 3_888_000_000, holdTtlMs: 900_000, inflightTtlMs: 900_000, logLevel: 'info' },
      ...{ defaultCurrency: 'USD', defaultCreditLimit: '0', defaultHoldPolicy: 'estimate' },
    });
    expect([config.defaultDailyQuota, config.defaultMonthlyQuota]).to.deep.equal([undefined, undefined]);
  });

  it('hold for what the contract says where a pending event names no bound, without a cap', () => {
    const config = loadConfig(COMPLETE);
    expect(config.estimateOutputTokensDefault).to.equal(MAX_OUTPUT_TOKENS_DEFAULT);
    expect(config.estimateOutputTokensMax).to.equal(undefined);
    expect(config).to.include({ holdTtlMs: 900_000, holdTtlNoneMs: 900_000, expiryIntervalMs: 5_000 });
  });

  it('reach a child process through its environment, a cap that is not set staying unset', () => {
    for (const cap of ['', '0', '2048']) {
      const config = loadConfig({
        ...COMPLETE,
        ...{ TOLLBOOK_HOLD_TTL_NONE_MS: '2000', TOLLBOOK_EXPIRY_INTERVAL_MS: '250' },
        ...{ TOLLBOOK_ESTIMATE_OUTPUT_TOKENS_DEFAULT: '1000', TOLLBOOK_ESTIMATE_OUTPUT_TOKENS_MAX: cap },
      });
      expect(config).to.include({ holdTtlNoneMs: 2_000, expiryIntervalMs: 250, estimateOutputTokensDefault: 1_000 });
      expect(config.estimateOutputTokensMax).to.equal(cap === '' ? undefined : Number(cap));
      expect(loadConfig(environmentOf(config))).to.deep.equal(config);
    }
  });

  it('are read from the environment, an empty value counting as unset', () => {
    const config = loadConfig({
      ...COMPLETE,
      ...{ DATABASE_OWNER_URL: 'postgresql://owner@db/tollbook', TOLLBOOK_CHUNK_MESSAGES_MAX: '500' },
      ...{ TOLLBOOK_DEFAULT_DAILY_QUOTA: '0', TOLLBOOK_DEFAULT_CREDIT_LIMIT: '25.50', TOLLBOOK_LOG_LEVEL: '' },
    });
    expect(config).to.include({
      ...{ databaseOwnerUrl: 'postgresql://owner@db/tollbook', chunkMessagesMax: 500, defaultDailyQuota: 0 },
      ...{ defaultCreditLimit: '25.50', logLevel: 'info' },
    });
  });

  it('name no price book unless told to, and refuse a name that no import can give', () => {
    expect(loadConfig(COMPLETE).priceBook).to.equal('');
    expect(loadConfig({ ...COMPLETE, TOLLBOOK_PRICE_BOOK: 'public-list.2' }).priceBook).to.equal('public-list.2');
    const { problems } = problemsOf({ ...COMPLETE, TOLLBOOK_PRICE_BOOK: 'List@1' });
    expect(problems).to.deep.equal(['TOLLBOOK_PRICE_BOOK is "List@1": must be the name of a price book or empty']);
  });

  it('take brokers at IPv6 addresses in brackets, alone and beside others', () => {
    for (const found of ['[::1]:9092', 'kafka-1:9092,[2001:db8::7]:9093', '[fe80::1%eth0]:9092']) {
      expect(loadConfig({ ...COMPLETE, KAFKA_BROKERS: found }).kafkaBrokers).to.equal(found);
    }
    for (const found of ['::1:9092', '[::1]', '[::1:9092', '[kafka]:9092', '[]:9092']) {
      const { problems } = problemsOf({ ...COMPLETE, KAFKA_BROKERS: found });
      expect(problems, found).to.have.lengthOf(1);
    }
  });

  it('are frozen', () => {
    expect(Object.isFrozen(loadConfig(COMPLETE))).to.equal(true);
  });

  it('report all problems at once, each with its variable, the value found and what is allowed', () => {
    const { message, problems } = problemsOf({
      ...COMPLETE,
      ...{ KAFKA_BROKERS: 'kafka', TOLLBOOK_CHUNK_MESSAGES_MAX: '10001', TOLLBOOK_DEFAULT_CURRENCY: 'usd' },
      ...{ TOLLBOOK_DEFAULT_HOLD_POLICY: 'some', TOLLBOOK_REDIS_PREFIX: 'a{b}' },
    });
    expect(message).to.match(/^5 setting\(s\) are invalid:/);
    for (const problem of problems) expect(message).to.include(problem);
    expect(problems.map((problem) => problem.split(' ')[0])).to.have.members([
      ...['KAFKA_BROKERS', 'TOLLBOOK_CHUNK_MESSAGES_MAX', 'TOLLBOOK_DEFAULT_CURRENCY'],
      ...['TOLLBOOK_DEFAULT_HOLD_POLICY', 'TOLLBOOK_REDIS_PREFIX'],
    ]);
    expect(message).to.include('KAFKA_BROKERS is "kafka": must be a comma-separated list of host:port');
    expect(message).to.match(/TOLLBOOK_CHUNK_MESSAGES_MAX is 10001: it must not be greater than 10000/);
    expect(message).to.match(/TOLLBOOK_DEFAULT_HOLD_POLICY is "some": it must be one of .*estimate, none/);
  });

  for (const found of ['abc', '1e3', '2.5', '0x10', '-1', '99999999999999999999']) {
    it(`name the value ${found} where a bounded whole number is needed`, () => {
      const { problems } = problemsOf({ ...COMPLETE, TOLLBOOK_REDIS_DEADLINE_MS: found });
      expect(problems).to.have.lengthOf(1);
      expect(problems[0]).to.match(new RegExp(`^TOLLBOOK_REDIS_DEADLINE_MS is "?${found.replace('.', '\\.')}"?: `));
    });
  }

  it('say which addresses are missing when no local stack is up', () => {
    const { problems } = problemsOf({});
    expect(problems).to.have.lengthOf(3);
    for (const variable of ['KAFKA_BROKERS', 'DATABASE_URL', 'REDIS_URL']) {
      expect(
        problems.filter((problem) => problem.startsWith(`${variable} is not set (and no local stack is up)`)),
      ).to.have.lengthOf(1);
    }
  });

  it('never repeat a malformed URL, which may hold a password', () => {
    const { message } = problemsOf({
      ...COMPLETE,
      ...{ DATABASE_URL: 'mysql://u:s3cret@h/d', REDIS_URL: 'http://:s3cret@h', DATABASE_OWNER_URL: 's3cret' },
    });
    expect(message).to.include('DATABASE_URL is malformed').and.include('REDIS_URL is malformed');
    expect(message).to.include('DATABASE_OWNER_URL is malformed');
    expect(message).to.not.include('s3cret');
  });

  it('take the addresses of the local stack when it is up, one by one, and the environment first', () => {
    recordStack(true);
    const config = loadConfig({ REDIS_URL: COMPLETE.REDIS_URL });
    expect(config.kafkaBrokers).to.equal('127.0.0.1:1');
    expect(config.databaseUrl).to.equal('postgres://tollbook_owner:pw@127.0.0.1:2/tollbook');
    expect(config.databaseOwnerUrl).to.equal(config.databaseUrl);
    expect(config.redisUrl).to.equal(COMPLETE.REDIS_URL);
  });

  it('ignore a local stack that was taken down', () => {
    recordStack(false);
    expect(problemsOf({}).problems).to.not.deep.equal([]);
  });

  it('have a variable of their own each', () => {
    const variables = Object.values(SETTINGS).map(({ env }) => env);
    expect(new Set(variables).size).to.equal(variables.length);
  });
});
