/**
 * Owns: the replay on the command line, against topics of a real Kafka: a spoiled simulation charged by two processes in
 * parallel, then by one without Redis, with holds that expire, replays without a difference.
 */
import { expect } from 'chai';
import { otherShadows } from '../../src/reconciliation/shadow/shadow-database.js';
import { environmentOf } from '../../src/runtime/config.js';
import { planSimulation } from '../../src/simulator/simulate.js';
import { LedgerWorld } from '../support/ledger-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { messageOf, pending, send } from '../support/usage-messages.js';

const SPOILED = { duplicates: 0.2, reorder: 'full', poison: 0.02 } as const;
/** Shorter than the run, so that some holds expire in it. */
const HOLD_TTL_MS = '1000';

interface ReplayDocument {
  readonly verdict: string;
  readonly messages: number;
  readonly differences: { readonly rows: number; readonly first: readonly object[] };
  readonly notReplayed: { readonly batches: number; readonly first: readonly object[] };
  readonly tables: readonly { readonly table: string; readonly rows: number }[];
}

describe('the replay on the command line', function () {
  this.timeout(240_000);
  let world: LedgerWorld;
  let settings: Record<string, string>;

  before(async () => {
    world = await LedgerWorld.create({
      settings: {
        TOLLBOOK_CHUNK_MESSAGES_MAX: '150',
        TOLLBOOK_HOLD_TTL_MS: HOLD_TTL_MS,
        TOLLBOOK_EXPIRY_INTERVAL_MS: '200',
        TOLLBOOK_DEFAULT_CREDIT_LIMIT: '1',
      },
    });
    settings = environmentOf(world.config);
    const processes = [await world.start(), await world.start()];
    await charge(1);
    for (const process of processes) await world.stop(process);
    const alone = await world.start({ config: { redisDeadlineMs: 5 } });
    await charge(2);
    const held = ['a', 'b'].map((traceId) => messageOf(pending('held', traceId)));
    await send(world.kafka, world.config.topicPending, held);
    await world.until('a hold has expired', async () => {
      const rows = await world.rows(`SELECT FROM ledger_entries WHERE status = 'EXPIRED' LIMIT 1`);
      return rows.length > 0;
    });
    await world.stop(alone);
  });
  after(() => world.close());

  async function charge(seed: number): Promise<void> {
    const plan = await planSimulation({ seed, requests: 600, tenants: 12, tenantPrefix: `s${seed}-`, ...SPOILED });
    await world.credit(plan);
    await world.publish(plan);
    await world.drain();
  }

  const replay = (...args: readonly string[]): Promise<CliResult> => runTollbook(['replay', ...args], settings);

  it('finds no difference in a spoiled simulation, and leaves neither shadow nor entry behind', async () => {
    const before = await world.count('ledger_entries');
    const { stdout, stderr, exitCode } = await replay('--into-shadow', '--json');
    const document = JSON.parse(stdout || '{}') as ReplayDocument;
    expect({ ...document.differences, ...document.notReplayed, stderr }).to.deep.include({
      rows: 0,
      batches: 0,
      first: [],
    });
    expect([document.verdict, exitCode]).to.deep.equal(['equal', 0]);
    expect(document.tables.find(({ table }) => table === 'ledger_entries')?.rows).to.equal(before);
    expect(await world.count('ledger_entries')).to.equal(before);
    expect(await otherShadows(world.config.databaseOwnerUrl)).to.deep.equal([]);
  });

  it('says in words what it did, and ends with 1 when a setting is not that of the time', async () => {
    const result = await runTollbook(['replay', '--into-shadow', '--show', '1'], {
      ...settings,
      TOLLBOOK_HOLD_TTL_MS: '2000',
    });
    expect(result.stdout).to.match(/messages in \d+ batches \(1 to \d+\) charged again/);
    expect(result.stdout).to.match(/different: \d+ rows differ/);
    expect(result.exitCode).to.equal(1);
  });

  it('says what is allowed when it is called wrongly, and creates nothing', async () => {
    const WRONG: readonly (readonly [RegExp, ...string[]])[] = [
      [/--into-shadow is not given/],
      [
        /--to-batch is 3; allowed: --from-batch, which is 5, or more/,
        '--into-shadow',
        '--from-batch',
        '5',
        '--to-batch',
        '3',
      ],
      [/allowed: a whole number from 1/, '--into-shadow', '--from-batch', 'first'],
      [/no batch from 999999 to \d+ can be replayed/, '--into-shadow', '--from-batch', '999999'],
    ];
    for (const [message, ...args] of WRONG) {
      const result = await replay(...args);
      expect(result.stderr, args.join(' ')).to.match(message);
      expect([result.exitCode, result.stdout], args.join(' ')).to.deep.equal([2, '']);
    }
    expect(await otherShadows(world.config.databaseOwnerUrl)).to.deep.equal([]);
  });
});
