/**
 * Owns: how the drain rate changes with the number of entries that are there already.
 * How: drains into a nearly empty ledger, then multiplies its own entries under new tenants inside the database until the
 * table has the size asked for, vacuums it, and drains again into the same table and indexes.
 * The multiplied rows have the shape and the index keys of real ones; their hashes are copies, so such a ledger is for
 * measuring alone and does not verify.
 */
import pg from 'pg';
import { enterRunWorld } from '../src/cli/run-world.js';
import type { Config } from '../src/runtime/config.js';
import type { DrainFigures } from './drain-child.js';
import { publish, spendable } from './drain.js';
import { runMeasured } from './measured-child.js';
import { copyCeiling } from './references.js';
import type { Workload } from './workloads.js';

/** How growth is measured. */
export interface GrowthOptions {
  readonly workload: Workload;
  readonly requests: number;
  readonly partitions: number;
  /** Entries in the table before the second half of the runs. */
  readonly entries: number;
  /** Drains into the small table, and as many into the grown one. */
  readonly runs: number;
  readonly report: (line: string) => void;
}

/** What growth came to; messages a second. */
export interface GrowthSample {
  readonly smallEntries: number;
  readonly smallRates: readonly number[];
  readonly grownEntries: number;
  readonly grownRates: readonly number[];
  /** COPY of rows of the same shape into an empty table at both times: what the machine did meanwhile. */
  readonly copyRates: readonly [small: number, grown: number];
}

/** Rows a statement of the multiplication inserts. */
const FILL_ROWS = 500_000;

/** Measures growth. Throws what the servers throw, CONSUMER_CRASHED. */
export async function measureGrowth(options: GrowthOptions): Promise<GrowthSample> {
  const world = await enterRunWorld({ name: 'bench', partitions: options.partitions, report: () => undefined });
  try {
    const config = spendable(world);
    const smallRates = await drainTimes(config, options, 1);
    const smallEntries = await countEntries(config);
    const copySmall = await copyCeiling(config);
    await fill(config, options);
    const grownRates = await drainTimes(config, options, options.runs + 1);
    const copyGrown = await copyCeiling(config);
    const grownEntries = await countEntries(config);
    return { smallEntries, smallRates, grownEntries, grownRates, copyRates: [copySmall, copyGrown] };
  } finally {
    await world.leave();
  }
}

/** Drains as many fresh backlogs as there are runs, one after the other. */
async function drainTimes(
  config: Readonly<Config>,
  { workload, requests, runs, report }: GrowthOptions,
  firstSeed: number,
): Promise<number[]> {
  const rates: number[] = [];
  for (let seed = firstSeed; seed < firstSeed + runs; seed += 1) {
    await publish(config, workload, { requests, duplicates: 0, seed });
    const { messages, elapsedMs } = await runMeasured<DrainFigures>({ name: 'drain-child', config });
    rates.push((messages * 1000) / elapsedMs);
    report(`drained at ${Math.round(rates[rates.length - 1] ?? 0)}/s`);
  }
  return rates;
}

async function countEntries(config: Readonly<Config>): Promise<number> {
  return withClient(config, async (client) => {
    const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM ledger_entries');
    return Number(rows[0]?.count ?? 0);
  });
}

async function fill(config: Readonly<Config>, { entries, report }: GrowthOptions): Promise<void> {
  await withClient(config, async (client) => {
    const { rows } = await client.query<{ column_name: string }>(
      `SELECT column_name FROM information_schema.columns WHERE table_name = 'ledger_entries' ORDER BY ordinal_position`,
    );
    const columns = rows.map(({ column_name }) => column_name);
    const copies = columns.map((name) => COPIED[name] ?? name);
    const base = await client.query<{ count: string }>('SELECT count(*) FROM ledger_entries');
    const baseRows = Number(base.rows[0]?.count ?? 0);
    await client.query('CREATE TEMP TABLE base AS SELECT * FROM ledger_entries');
    for (let [filled, copy] = [baseRows, 1]; filled < entries; copy += 1) {
      const wanted = Math.min(baseRows, FILL_ROWS, entries - filled);
      const insert = `INSERT INTO ledger_entries (${columns.join(', ')}) SELECT ${copies.join(', ')} FROM base LIMIT $2`;
      await client.query(insert, [`grown-${copy}-`, wanted]);
      filled += wanted;
      report(`filled to ${filled} of ${entries} entries`);
    }
    await client.query('DROP TABLE base');
    await client.query('VACUUM ANALYZE ledger_entries');
  });
}

/** The columns that a copy has of its own. */
const COPIED: Readonly<Record<string, string>> = { tenant_id: '$1 || tenant_id', trace_id: '$1 || trace_id' };

async function withClient<T>(config: Readonly<Config>, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: config.databaseOwnerUrl });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
