/** Owns: the commands of the ledger typed wrongly, each as a new user would: a clear message, and nothing written. */
import { expect } from 'chai';
import { expectAtRest } from '../support/at-rest.js';
import {
  preparedTenant,
  rowCounts,
  runCommand,
  type TenantOfWorld,
  VALID_OPTIONS,
  WHO,
} from '../support/command-samples.js';
import { ProtocolWorld } from '../support/protocol-world.js';
import type { CliResult } from '../support/tollbook-cli.js';

/** How many processes run at once: most of a call is the start of its process. */
const CALLERS = 4;

describe('the commands of the ledger with wrong input', function () {
  this.timeout(180_000);
  let world: ProtocolWorld;

  before(async () => {
    world = await ProtocolWorld.open();
  });
  after(() => world.close());

  interface Mistake {
    readonly what: string;
    readonly command: string;
    readonly tenantId?: string;
    readonly options: readonly string[];
    readonly exitCode: 1 | 2;
    readonly message: RegExp;
  }

  const withKey = (command: string, key: string): string[] => [...VALID_OPTIONS[command]!, '--key', key, ...WHO];

  const EVERYWHERE: readonly Mistake[] = Object.keys(VALID_OPTIONS).flatMap((command): Mistake[] => [
    {
      what: 'without a reason',
      command,
      options: [...VALID_OPTIONS[command]!, '--key', 'key-1', '--actor', 'ops'],
      exitCode: 2,
      message: /required option '--reason <text>' not specified/,
    },
    {
      what: 'with a key that another command has used',
      command,
      options: [...withKey(command, 'taken'), '--json'],
      exitCode: 1,
      message: /^tollbook: IDEMPOTENCY_KEY_REUSED: key taken of tenant \S+ was used for the credit of entry 2: /,
    },
  ]);

  const OF_UNKNOWN_TENANTS: readonly Mistake[] = ['adjust', 'refund', 'limits', 'collect', 'void'].map((command) => ({
    what: 'of an unknown tenant',
    command,
    tenantId: 'nobody',
    options: withKey(command, 'key-1'),
    exitCode: 1,
    message: /^tollbook: ACCOUNT_UNKNOWN: tenant nobody has no account/,
  }));

  const IN_WRONG_CURRENCY: readonly Mistake[] = ['credit', 'adjust', 'refund', 'limits'].map((command) => ({
    what: 'in another currency than that of the account',
    command,
    options: [...withKey(command, 'key-1'), '--currency', 'EUR'],
    exitCode: 1,
    message: /^tollbook: CURRENCY_MISMATCH: currency is EUR; allowed: USD, the currency of account/,
  }));

  const WRONG_AMOUNTS: readonly Mistake[] = [
    ['credit', '--amount'],
    ['adjust', '--amount'],
    ['refund', '--amount'],
    ['limits', '--credit-limit'],
    ['account open', '--credit-limit'],
  ].flatMap(([command = '', option = '']): Mistake[] => [
    {
      what: 'with too many decimals',
      command,
      options: [...withKey(command, 'key-1'), option, '0.0000000001'],
      exitCode: 2,
      message: new RegExp(`'${option} <decimal>'.*0\\.0000000001: 10 decimals found, at most 9 allowed`),
    },
    {
      what: 'with an amount of 2^63 nano-units',
      command,
      options: [...withKey(command, 'key-1'), option, '9223372036.854775808'],
      exitCode: 2,
      message: new RegExp(`'${option} <decimal>'.*must be below 9223372036\\.854775808`),
    },
  ]);

  const OTHERS: readonly Mistake[] = [
    {
      what: 'with an amount that is no decimal',
      command: 'adjust',
      options: [...withKey('adjust', 'key-1'), '--amount', 'NaN'],
      exitCode: 2,
      message: /'--amount <decimal>'.*"NaN"; expected a decimal string such as "12\.5"/,
    },
    {
      what: 'of a tenant that has an account',
      command: 'account open',
      options: withKey('account open', 'key-1'),
      exitCode: 1,
      message: /^tollbook: ACCOUNT_EXISTS: tenant \S+ has an account in USD/,
    },
    {
      what: 'that would take the balance to 2^63 nano-units',
      command: 'credit',
      options: ['--amount', '9223372036.854775807', '--key', 'key-1', ...WHO],
      exitCode: 1,
      message: /^tollbook: MONEY_OUT_OF_RANGE: the balance of \S+ would become 9223372042\.854775807 USD; allowed:/,
    },
    {
      what: 'of nothing',
      command: 'adjust',
      options: ['--amount', '0', '--key', 'key-1', ...WHO],
      exitCode: 2,
      message: /'--amount <decimal>'.*allowed: an amount that is not zero/,
    },
    {
      what: 'of a negative amount',
      command: 'refund',
      options: [...withKey('refund', 'key-1'), '--amount', '-1'],
      exitCode: 2,
      message: /'--amount <decimal>'.*allowed: more than zero/,
    },
    {
      what: 'of more than is left',
      command: 'refund',
      options: [...withKey('refund', 'key-1'), '--amount', '4.000000001'],
      exitCode: 1,
      message: /^tollbook: REFUND_EXCEEDS_CHARGE: amount is 4\.000000001; entry 3 .* left: 4\.000000000/,
    },
    {
      what: 'of neither a trace nor an entry',
      command: 'refund',
      options: ['--key', 'key-1', ...WHO],
      exitCode: 2,
      message: /^tollbook: USAGE_INVALID: a refund needs --trace or --entry, one of the two; found: neither/,
    },
    {
      what: 'of both a trace and an entry',
      command: 'refund',
      options: [...withKey('refund', 'key-1'), '--entry', '3'],
      exitCode: 2,
      message: /found: both/,
    },
    {
      what: 'of an unknown trace',
      command: 'refund',
      options: ['--trace', 'other', '--key', 'key-1', ...WHO],
      exitCode: 1,
      message: /^tollbook: TRACE_UNKNOWN: tenant \S+ has no trace other/,
    },
    {
      what: 'of a credit',
      command: 'refund',
      options: ['--entry', '2', '--key', 'key-1', ...WHO],
      exitCode: 1,
      message: /^tollbook: REFUND_NOT_ALLOWED: entry 2 of \S+ is a CREDIT that is COMMITTED .*; allowed: a DEDUCT/,
    },
    {
      what: 'of nothing',
      command: 'limits',
      options: ['--key', 'key-1', ...WHO],
      exitCode: 2,
      message: /^tollbook: USAGE_INVALID: limits is "none"; allowed: at least one of credit limit, daily quota/,
    },
    {
      what: 'of a quota that is no count',
      command: 'limits',
      options: ['--daily-quota', '-1', '--key', 'key-1', ...WHO],
      exitCode: 2,
      message: /'--daily-quota <n>'.*allowed: a whole number of requests from 0, or unlimited/,
    },
    {
      what: 'of a hold policy there is not',
      command: 'limits',
      options: ['--hold-policy', 'maximum', '--key', 'key-1', ...WHO],
      exitCode: 2,
      message: /'--hold-policy <policy>'.*Allowed choices are estimate, none/,
    },
    {
      what: 'that the balance does not cover',
      command: 'collect',
      options: ['--trace', 'failed', '--key', 'key-1', ...WHO],
      exitCode: 1,
      message: /^tollbook: INSUFFICIENT_BALANCE: trace failed of \S+ needs 11\.000000000 USD, available: 4\.000000000/,
    },
    {
      what: 'of a trace that is charged',
      command: 'collect',
      options: ['--trace', 'charged', '--key', 'key-1', ...WHO],
      exitCode: 1,
      message: /^tollbook: COLLECT_NOT_ALLOWED: trace charged of \S+ is COMMITTED \(entry 3\)/,
    },
    {
      what: 'of a trace that holds nothing',
      command: 'void',
      options: ['--trace', 'charged', '--key', 'key-1', ...WHO],
      exitCode: 1,
      message: /^tollbook: HOLD_NOT_OPEN: trace charged of \S+ is COMMITTED/,
    },
  ];

  const mistakes = [...EVERYWHERE, ...OF_UNKNOWN_TENANTS, ...IN_WRONG_CURRENCY, ...WRONG_AMOUNTS, ...OTHERS];
  const results = new Map<Mistake, CliResult>();
  let tenant: TenantOfWorld;
  let counts: Record<'before' | 'after', Readonly<Record<string, string>>>;

  before(async () => {
    tenant = await preparedTenant(world);
    counts = { before: await rowCounts(world), after: {} };
    await makeAll([...mistakes]);
    counts.after = await rowCounts(world);
  });

  /** Makes the mistakes a few at a time. */
  async function makeAll(open: Mistake[]): Promise<void> {
    const caller = async (): Promise<void> => {
      for (let next = open.shift(); next !== undefined; next = open.shift()) {
        const { command, tenantId = tenant.tenantId, options } = next;
        results.set(next, await runCommand(world, command, tenantId, ...options));
      }
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
  }

  for (const mistake of mistakes) {
    const { what, command, exitCode, message } = mistake;
    it(`${command} ${what} ends with exit code ${exitCode} and says why`, () => {
      const result = results.get(mistake);
      expect(result?.stderr).to.match(message);
      expect({ exitCode: result?.exitCode, stdout: result?.stdout }).to.deep.equal({ exitCode, stdout: '' });
    });
  }

  it('nothing at all is written', async () => {
    expect(counts.after).to.deep.equal(counts.before);
    expect(await world.entries(tenant.tenantId)).to.have.length(5);
    await expectAtRest(world, [tenant.tenantId]);
  });
});
