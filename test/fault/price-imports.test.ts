/**
 * Owns: an import of prices that is killed while events are charged by the book: the version is there with all its prices
 * or not at all, and importing again ends right. Each test names its row of docs/failure-windows.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { useFaultStack } from '../support/fault-stack.js';
import { FaultWorld } from '../support/fault-world.js';
import { type CliResult, runTollbook } from '../support/tollbook-cli.js';
import { completion, messageOf, send } from '../support/usage-messages.js';
import { priceMapText } from '../support/price-lists.js';
import { waitUntil } from '../support/wait-until.js';

const MODEL = 'claude-sonnet-4';
const EVENTS = 20;
/** 1,000 input and 200 output tokens of each version: input and output token at n and 2n millionths. */
const COSTS: Readonly<Record<string, string>> = { 'book@1': '0.001400000', 'book@2': '0.002800000' };

describe('importing prices while events are charged', function () {
  this.timeout(180_000);
  let world: FaultWorld;
  let folder: string;

  useFaultStack();

  beforeEach(async () => {
    world = await FaultWorld.create({ TOLLBOOK_PRICE_BOOK: 'book' }, 1);
    folder = mkdtempSync(path.join(tmpdir(), 'tollbook-prices-'));
  });

  afterEach(async () => {
    rmSync(folder, { recursive: true });
    await world.close();
  });

  const points = [
    ['prices.compared', 1, 'imported'],
    ['prices.written', 2, 'unchanged'],
  ] as const;
  for (const [point, versions, again] of points) {
    it(`crash during an import: killed at ${point} there are ${versions} whole versions, and the same file again is ${again}`, async () => {
      expect((await importVersion(1)).exitCode).to.equal(0);
      const child = world.start({ faults: 'charge.decoded=delay:25' });
      const publishing = publish('meanwhile');
      expect((await importVersion(2, `${point}=kill`)).stderr).to.include(`fault point ${point}: kill`);
      await publishing;
      const brokenAtMs = performance.now();
      expect(await wholeVersions()).to.equal(versions);
      const { stdout, exitCode, stderr } = await importVersion(2);
      expect(exitCode, stderr).to.equal(0);
      expect(JSON.parse(stdout)).to.include({ outcome: again });
      await waitUntil('a moment of the new version has come', () => performance.now() > brokenAtMs + 10);
      await publish('afterwards');
      world.besides.push(...(await expectPriced()));
      await world.recover(`an import killed at ${point}`, brokenAtMs, [child]);
    });
  }

  function importVersion(version: number, faults = ''): Promise<CliResult> {
    const file = path.join(folder, `prices-${version}.json`);
    writeFileSync(file, priceMapText({ [MODEL]: { input: `${version}e-6`, output: `${2 * version}e-6` } }));
    const settings = { ...(world.ledger.environment as Record<string, string>), TOLLBOOK_FAULTS: faults };
    return runTollbook(['prices', 'import', file, '--book', 'book', '--actor', 'ops', '--json'], settings);
  }

  /** Publishes completions that carry no pricing. */
  async function publish(tenantId: string): Promise<void> {
    const fields = { provider: 'anthropic', model: MODEL, pricing: undefined };
    const events = Array.from({ length: EVENTS }, (_, index) => completion(tenantId, `${tenantId}-${index}`, fields));
    const { kafka, config } = world.ledger;
    await send(
      kafka,
      config.topicCompleted,
      events.map((event) => messageOf(event, 0)),
    );
  }

  /** How many versions have all the prices that they say they have. */
  async function wholeVersions(): Promise<number> {
    const rows = await world.ledger.rows(
      `SELECT FROM price_book_versions v JOIN price_book_prices p USING (book, version)
       GROUP BY v.book, v.version, v.models HAVING count(*) = v.models`,
    );
    const all = await world.ledger.rows('SELECT FROM price_book_versions');
    expect(rows).to.have.length(all.length);
    return rows.length;
  }

  /** Waits until all is charged; fails unless each at the cost of the version it names, the later ones at the new one. */
  async function expectPriced(): Promise<string[]> {
    const sql = `SELECT tenant_id AS "tenantId", amount, price_version AS "priceVersion" FROM ledger_entries
       WHERE type = 'DEDUCT' AND status = 'COMMITTED'`;
    type Charge = Readonly<Record<'tenantId' | 'amount' | 'priceVersion', string>>;
    let charges: Charge[] = [];
    await waitUntil('all is charged', async () => {
      charges = await world.ledger.rows<Charge>(sql);
      return charges.length === 2 * EVENTS;
    });
    for (const { tenantId, amount, priceVersion } of charges) {
      expect(amount).to.equal(COSTS[priceVersion]);
      if (tenantId === 'afterwards') expect(priceVersion).to.equal('book@2');
    }
    return charges.map(({ amount }) => amount);
  }
});
