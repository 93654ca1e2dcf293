/**
 * Owns: the figures of a demo: read from the ledger, held against the simulator's expectation, and shown.
 * Does not own: running it (demo-command.ts), nor the proofs (src/reconciliation).
 */
import { ownValue } from '../runtime/name-map.js';
import { plainTable } from './plain-table.js';
import { reportedText } from './reported-text.js';
import type pg from 'pg';
import { displayAmount, parseAmount } from '../ledger/money.js';
import type { AccountProof } from '../reconciliation/account-proof.js';
import type { ChainProof } from '../reconciliation/chain-proof.js';
import type { ProjectionProof } from '../reconciliation/projection-proof.js';
import type { Config } from '../runtime/config.js';
import { translatePostgresError } from '../runtime/postgres.js';
import type { SimulationExpectation } from '../simulator/expectation.js';

/** The three proofs of a ledger at rest. */
export interface DemoProofs {
  readonly chains: ChainProof;
  readonly accounts: AccountProof;
  readonly projections: ProjectionProof;
}

/** What became of the published messages, by the sealed batches of the usage topics. */
export interface DemoCounts {
  readonly entries: number;
  readonly duplicates: number;
  readonly superseded: number;
  readonly skipped: number;
  readonly unpriced: number;
  readonly deadLetters: number;
  readonly deadLettersByReason: Readonly<Record<string, number>>;
}

/** The demo in figures; amounts are decimal strings. */
export interface DemoSummary extends DemoCounts {
  readonly published: number;
  readonly reported: SimulationExpectation['reported'];
  readonly ledgerTotal: string;
  readonly expectedTotal: string;
  readonly tenantsDiffering: number;
  readonly redisDrift: number;
  readonly inFlight: number;
  readonly chainOk: boolean;
  readonly accountsOk: boolean;
  readonly deadLettersAsExpected: boolean;
  readonly problems: readonly string[];
  readonly elapsedMs: number;
  readonly eventsPerSecond: number;
  readonly ok: boolean;
}

const PROBLEMS_SHOWN = 20;
const TENANTS_SHOWN = 15;

/** Reads the counts from the sealed batches and the dead letters. Throws POSTGRES_*. */
export async function readDemoCounts(pool: pg.Pool, config: Readonly<Config>): Promise<DemoCounts> {
  const [sums] = await queryRows<Record<keyof Omit<DemoCounts, 'deadLettersByReason'>, string>>(
    pool,
    `SELECT sum(charged) AS entries, sum(duplicates) AS duplicates, sum(superseded) AS superseded,
       sum(skipped) AS skipped, sum(unpriced) AS unpriced, sum(dead_letters) AS "deadLetters"
     FROM ledger_batches WHERE topic IN ($1, $2)`,
    [config.topicPending, config.topicCompleted],
  );
  const reasons = await queryRows<{ reason: string; count: string }>(
    pool,
    'SELECT reason, count(*) FROM dead_letters GROUP BY reason ORDER BY reason',
  );
  return {
    entries: Number(sums?.entries ?? 0),
    duplicates: Number(sums?.duplicates ?? 0),
    superseded: Number(sums?.superseded ?? 0),
    skipped: Number(sums?.skipped ?? 0),
    unpriced: Number(sums?.unpriced ?? 0),
    deadLetters: Number(sums?.deadLetters ?? 0),
    deadLettersByReason: Object.fromEntries(reasons.map(({ reason, count }) => [reason, Number(count)])),
  };
}

/** One tenant as the ledger has it; amounts are decimal strings. */
export interface DemoTenant {
  readonly tenantId: string;
  readonly requests: number;
  readonly charged: string;
  readonly held: string;
  readonly balance: string;
  readonly refused: number;
}

/** Reads every tenant's figures from accounts and entries. Throws POSTGRES_*. */
export async function readDemoTenants(pool: pg.Pool): Promise<DemoTenant[]> {
  const rows = await queryRows<Record<keyof DemoTenant, string>>(
    pool,
    `SELECT a.tenant_id AS "tenantId", a.held, a.balance, u.requests, u.charged, u.refused
     FROM accounts a CROSS JOIN LATERAL (
       SELECT count(DISTINCT e.trace_id) AS requests,
         coalesce(sum(e.amount) FILTER (WHERE e.status = 'COMMITTED'), 0)::numeric(28,9) AS charged,
         count(*) FILTER (WHERE e.status IN ('FAILED', 'REFUSED')) AS refused
       FROM ledger_entries e WHERE e.tenant_id = a.tenant_id AND e.type = 'DEDUCT') u
     ORDER BY u.charged DESC, a.tenant_id`,
  );
  return rows.map((row) => ({ ...row, requests: Number(row.requests), refused: Number(row.refused) }));
}

/** Holds the ledger against the expectation. */
export function summarise(run: {
  expectation: SimulationExpectation;
  counts: DemoCounts;
  tenants: readonly DemoTenant[];
  proofs: DemoProofs;
  elapsedMs: number;
}): DemoSummary {
  const { expectation, counts, tenants, proofs, elapsedMs } = run;
  const { entries, duplicates, superseded, skipped, unpriced, deadLetters } = counts;
  const published = expectation.published.total;
  const accountedFor = entries + duplicates + superseded + skipped + unpriced + deadLetters;
  const { ledgerTotal } = proofs.accounts;
  const expectedTotal = expectation.totals.charged;
  const tenantProblems = tenants.flatMap((tenant) => differences(tenant, expectation));
  const problems = [
    ...tenantProblems,
    ...proofs.chains.problems,
    ...proofs.accounts.problems,
    ...proofs.projections.problems,
    ...(accountedFor === published ? [] : [`${published} messages were published, ${accountedFor} are accounted for`]),
  ];
  const deadLettersAsExpected = sameCounts(counts.deadLettersByReason, expectation.expected.deadLetters);
  const chainOk = proofs.chains.problems.length === 0 && proofs.chains.entries === proofs.accounts.entries;
  const accountsOk = proofs.accounts.problems.length === 0;
  return {
    published,
    reported: expectation.reported,
    ...counts,
    ledgerTotal,
    expectedTotal,
    tenantsDiffering: tenantProblems.length,
    redisDrift: proofs.projections.drift,
    inFlight: proofs.projections.inFlight,
    chainOk,
    accountsOk,
    deadLettersAsExpected,
    problems: problems.slice(0, PROBLEMS_SHOWN),
    elapsedMs,
    eventsPerSecond: Math.round((published * 1000) / Math.max(1, elapsedMs)),
    ok: problems.length === 0 && chainOk && ledgerTotal === expectedTotal && deadLettersAsExpected,
  };
}

function differences(tenant: DemoTenant, { tenants }: SimulationExpectation): string[] {
  const expected = ownValue(tenants, tenant.tenantId);
  const charged = expected?.charged ?? '0.000000000';
  const held = expected?.held ?? '0.000000000';
  if (tenant.charged === charged && tenant.held === held) return [];
  return [`${tenant.tenantId} was charged ${tenant.charged} and holds ${tenant.held}; expected ${charged} and ${held}`];
}

function sameCounts(found: Readonly<Record<string, number>>, expected: Readonly<Record<string, number>>): boolean {
  const reasons = new Set([...Object.keys(found), ...Object.keys(expected)]);
  return [...reasons].every((reason) => (ownValue(found, reason) ?? 0) === (ownValue(expected, reason) ?? 0));
}

/** The demo as tables for a person, with what to try next. */
export function demoTables(summary: DemoSummary, tenants: readonly DemoTenant[], out: string): string {
  const usage = reportedText(summary.reported);
  return [tenantTable(tenants), countTable(summary), usage, proofTable(summary), nextSteps(summary, out), ''].join(
    '\n',
  );
}

function tenantTable(tenants: readonly DemoTenant[]): string {
  const table = plainTable(
    ['tenant', 'requests', 'charged', 'held', 'balance', 'refused'],
    ['left', 'right', 'right', 'right', 'right', 'right'],
  );
  for (const tenant of tenants.slice(0, TENANTS_SHOWN)) {
    const amounts = [tenant.charged, tenant.held, tenant.balance].map((amount) => displayAmount(parseAmount(amount)));
    table.push([tenant.tenantId, tenant.requests, ...amounts, tenant.refused]);
  }
  const more = tenants.length - TENANTS_SHOWN;
  return more > 0 ? `${table.toString()}\n… and ${more} more tenants` : table.toString();
}

function countTable(summary: DemoSummary): string {
  const table = plainTable(['messages', 'count'], ['left', 'right']);
  table.push(
    ['published', summary.published],
    ['became an entry', summary.entries],
    ['duplicates', summary.duplicates],
    ['superseded (pending after its completion)', summary.superseded],
    ['skipped (not billable)', summary.skipped],
    ['unpriced (parked)', summary.unpriced],
    ['dead letters', summary.deadLetters],
    ...Object.entries(summary.deadLettersByReason).map(([reason, count]): [string, number] => [`  ${reason}`, count]),
  );
  return table.toString();
}

function proofTable(summary: DemoSummary): string {
  const table = plainTable(['proof', 'holds', 'figures']);
  table.push(
    [
      'ledger total = independent total',
      mark(summary.ledgerTotal === summary.expectedTotal),
      `${summary.ledgerTotal} = ${summary.expectedTotal}`,
    ],
    ['every tenant as expected', mark(summary.tenantsDiffering === 0), `${summary.tenantsDiffering} differ`],
    ['accounts = fold of their entries', mark(summary.accountsOk), ''],
    ['Redis hashes = accounts', mark(summary.redisDrift === 0), `${summary.redisDrift} differ`],
    ['nothing left in flight', mark(summary.inFlight === 0), `${summary.inFlight} items`],
    ['every batch chain verified', mark(summary.chainOk), ''],
    ['every poison message a dead letter', mark(summary.deadLettersAsExpected), `${summary.deadLetters} dead letters`],
  );
  return table.toString();
}

function mark(holds: boolean): string {
  return holds ? 'yes' : 'NO';
}

function nextSteps(summary: DemoSummary, out: string): string {
  const seconds = (summary.elapsedMs / 1000).toFixed(1);
  const lines = [
    `${summary.published} messages charged and projected in ${seconds} s (${summary.eventsPerSecond}/s, publishing included); summary in ${out}`,
    ...summary.problems.map((problem) => `PROBLEM: ${problem}`),
  ];
  if (!summary.ok) return lines.join('\n');
  return [
    ...lines,
    'What to try next:',
    '  npx tollbook stack up                          start the servers and keep them',
    '  npx tollbook migrate && npx tollbook topics create',
    '  npx tollbook consume &                         charge in the background',
    '  npx tollbook credit acme --amount 100 --key first --actor me --reason "try it"',
    '  npx tollbook simulate --requests 5000 --tenants 10',
    '  npx tollbook stack stop redis                  charging goes on; start it again and the hashes come back',
  ].join('\n');
}

async function queryRows<R extends pg.QueryResultRow>(
  pool: pg.Pool,
  sql: string,
  values: unknown[] = [],
): Promise<R[]> {
  try {
    return (await pool.query<R>(sql, values)).rows;
  } catch (error) {
    throw translatePostgresError(error);
  }
}
