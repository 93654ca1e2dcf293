/**
 * Owns: `tollbook rebuild --accounts`: the accounts that differ put right, their hashes set anew, and what came of it told.
 * Does not own: the recomputing (reconciliation/rebuild-accounts.ts).
 * Invariants: of the findings the first hundred are shown, all of them counted; with --dry-run nothing is written.
 */
import { projectAfresh } from '../projections/audit-repair.js';
import type { TenantScope } from '../projections/tenant-walk.js';
import { type AccountDrift, rebuildAccounts } from '../reconciliation/rebuild-accounts.js';
import type { RebuildFlags } from './rebuild-command.js';
import type { LongWork, RebuildWorld } from './rebuild-world.js';
import { printJson, printText } from './output.js';

const SHOWN_MAX = 100;

/** What was found, bounded. */
class Findings {
  readonly drifts: AccountDrift[] = [];
  readonly problems: string[] = [];
  differing = 0;
  unmendable = 0;

  addDrift(drift: AccountDrift): void {
    this.differing += 1;
    if (this.drifts.length < SHOWN_MAX) this.drifts.push(drift);
  }

  addProblem(problem: string): void {
    this.unmendable += 1;
    if (this.problems.length < SHOWN_MAX) this.problems.push(problem);
  }
}

/** Recomputes accounts and prints the result; returns the tenant to go on after. Throws POSTGRES_*, REDIS_*. */
export async function repairAndReport(
  world: RebuildWorld,
  scope: TenantScope,
  { dryRun, json, goOn }: Pick<RebuildFlags, 'dryRun' | 'json'> & Required<Pick<LongWork, 'goOn'>>,
): Promise<string | null> {
  const isDryRun = dryRun === true;
  const findings = new Findings();
  const progress = { label: 'recomputing', total: await countEntries(world, scope), unit: 'entries' };
  const startedMs = world.clock.nowMs();
  const result = await world.walk({ ...progress, silent: json === true, goOn }, (control) =>
    rebuildAccounts(world.pool, {
      ...control,
      ...{ scope, isDryRun },
      onDrift: async (drift) => {
        findings.addDrift(drift);
        if (!isDryRun) await projectAfresh(world, [drift.tenantId]);
      },
      onProblem: (problem) => findings.addProblem(problem),
    }),
  );
  const seconds = Math.max(1, world.clock.nowMs() - startedMs) / 1000;
  if (json === true) printJson(documentOf(findings, { ...result, seconds, isDryRun }));
  else printText(textOf(findings, { ...result, seconds, isDryRun }));
  const left = findings.unmendable + (isDryRun ? findings.differing : 0);
  if (left > 0) process.exitCode = 1;
  return result.next;
}

async function countEntries({ history, reader }: RebuildWorld, scope: TenantScope): Promise<number> {
  if (scope.kind === 'all') return (await history.countLedger(scope.after)).entries;
  const accounts = await reader.readAccounts(scope.tenantIds);
  return [...accounts.values()].reduce((entries, { seq }) => entries + seq, 0);
}

interface Outcome {
  readonly accounts: number;
  readonly entries: number;
  readonly next: string | null;
  readonly seconds: number;
  readonly isDryRun: boolean;
}

function documentOf({ drifts, problems, differing, unmendable }: Findings, outcome: Outcome): object {
  const { accounts, entries, next, seconds, isDryRun } = outcome;
  return {
    mode: 'accounts',
    ...{ dryRun: isDryRun, accounts, entries, seconds, entriesPerSecond: Math.round(entries / seconds) },
    ...{ differing, mended: isDryRun ? 0 : differing, unmendable, drifts, problems },
    ...{ complete: next === null, next },
  };
}

function textOf({ drifts, problems, differing }: Findings, outcome: Outcome): string {
  const { accounts, entries, seconds, isDryRun } = outcome;
  const lines = drifts.flatMap(({ tenantId, seq, differences }) =>
    differences.map(
      ({ field, found, expected }) => `${tenantId}: ${field} is ${found}; its entries up to ${seq} say ${expected}`,
    ),
  );
  const more = differing > drifts.length ? [`… and ${differing - drifts.length} more accounts`] : [];
  const verdict = differing === 0 ? 'no difference' : `${differing} differ${isDryRun ? '' : ', put right'}`;
  const rate = Math.round(entries / seconds);
  const summary = `${accounts} accounts recomputed from ${entries} entries in ${seconds} s (${rate}/s): ${verdict}`;
  return [...lines, ...more, ...problems, summary].map((line) => `${line}\n`).join('');
}
