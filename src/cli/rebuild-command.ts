/**
 * Owns: `tollbook rebuild`: quota hashes, or accounts, made anew from the ledger while traffic runs.
 * Does not own: the rebuilding (projections/rebuild-hashes.ts, projections/audit-sweep.ts, reconciliation/rebuild-accounts.ts),
 * how a comparison looks (audit-documents.ts).
 * Invariants: --dry-run writes nothing; exit code 0 only when everything asked for is as the ledger says; a run that was
 * stopped says how to go on.
 */
import type { Command } from 'commander';
import { repairAndReport } from './rebuild-accounts-run.js';
import { auditLedger } from '../projections/audit-sweep.js';
import { rebuildHashes } from '../projections/rebuild-hashes.js';
import type { TenantScope } from '../projections/tenant-walk.js';
import { TollbookError } from '../runtime/errors.js';
import { addTenant } from './audit-command.js';
import { auditDocument, auditText } from './audit-documents.js';
import { identifier } from './option-values.js';
import { assertTenants, type LongWork, type RebuildWorld, withRebuildWorld } from './rebuild-world.js';
import { printJson, printText } from './output.js';

/** The options of a rebuild. */
export interface RebuildFlags {
  readonly tenant?: readonly string[];
  readonly all?: boolean;
  readonly after?: string;
  readonly aside?: boolean;
  readonly accounts?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const HELP = `
Traffic goes on: a hash is set to what the ledger says at one of its versions, and what is in flight stays in flight.
  (in place)   every hash is set anew, whatever it says; nothing is compared, so this is the fastest
  --aside      what every hash should be is compared with it field by field, and only what differs is set
  --accounts   accounts are recomputed from their entries; one that differs is locked, compared at the same entry, put
               right, and its hash set anew. An account whose entries contradict each other is named and left alone.
Ctrl-C stops after the page under way; the message then says how to go on. Exit code 0 only when all is as the ledger says.`;

/** Adds `rebuild` to the program. */
export function registerRebuildCommand(program: Command): void {
  program
    .command('rebuild')
    .description('make quota hashes, or accounts, anew from the ledger, with no pause of live traffic')
    .option('--tenant <id>', 'of this tenant; may be given several times', addTenant)
    .option('--all', 'of all tenants')
    .option('--after <tenant>', 'with --all: go on after this tenant', identifier)
    .option('--aside', 'compare first, set only what differs, and show what did')
    .option('--accounts', 'recompute the accounts instead of the hashes')
    .option('--dry-run', 'only show what differs, and write nothing')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', HELP)
    .action((flags: RebuildFlags) => runRebuild(flags));
}

async function runRebuild(flags: RebuildFlags): Promise<void> {
  const scope = scopeOf(flags);
  await withRebuildWorld('rebuild', async (world) => {
    if (scope.kind === 'named') await assertTenants(world, scope.tenantIds);
    const next = await rebuild(world, scope, flags);
    if (next !== null) throw world.stopped(goOnWith(flags)(next));
  });
}

/** Throws USAGE_INVALID for options that do not go together. */
function scopeOf({ tenant, all, after, aside, accounts }: RebuildFlags): TenantScope {
  if ((tenant === undefined) === (all !== true)) {
    const found = tenant === undefined ? 'neither --tenant nor --all is given' : '--tenant and --all are both given';
    throw new TollbookError('USAGE_INVALID', `${found}; allowed: one of them`);
  }
  if (aside === true && accounts === true) {
    throw new TollbookError(
      'USAGE_INVALID',
      '--aside and --accounts are both given; accounts are always compared first',
    );
  }
  if (tenant === undefined) return { kind: 'all', after: after ?? '' };
  if (after !== undefined) throw new TollbookError('USAGE_INVALID', '--after is given; allowed: with --all only');
  return { kind: 'named', tenantIds: tenant };
}

/** Returns the tenant to go on after; null when all is done. */
async function rebuild(world: RebuildWorld, scope: TenantScope, flags: RebuildFlags): Promise<string | null> {
  if (flags.accounts === true) return repairAndReport(world, scope, { ...flags, goOn: goOnWith(flags) });
  if (flags.aside === true || flags.dryRun === true) return compareHashes(world, scope, flags);
  return setHashes(world, scope, flags);
}

async function setHashes(world: RebuildWorld, scope: TenantScope, flags: RebuildFlags): Promise<string | null> {
  const { json } = flags;
  const startedMs = world.clock.nowMs();
  const result = await world.walk(await longWork('rebuilding', world, { scope, flags }), (control) =>
    rebuildHashes(world, scope, control),
  );
  const seconds = Math.max(1, world.clock.nowMs() - startedMs) / 1000;
  const perSecond = Math.round(result.tenants / seconds);
  if (json === true) printJson({ mode: 'in place', ...result, complete: result.next === null, seconds, perSecond });
  else {
    const mended = result.mended === 0 ? '' : `; ${result.mended} held what nobody may write there`;
    printText(`${result.tenants} hashes set anew in ${seconds} s (${perSecond}/s)${mended}\n`);
  }
  return result.next;
}

async function compareHashes(world: RebuildWorld, scope: TenantScope, flags: RebuildFlags): Promise<string | null> {
  const { json, dryRun } = flags;
  const repairs = dryRun !== true;
  const report = await world.walk(await longWork('comparing', world, { scope, flags }), (control) =>
    auditLedger(world, {
      ...control,
      ...{ scope, repairs, leakAfterMs: world.config.inflightTtlMs, nowMs: () => world.clock.nowMs() },
    }),
  );
  if (json === true) printJson({ mode: repairs ? 'aside' : 'dry run', ...auditDocument(report, repairs) });
  else printText(auditText(report, repairs));
  if (report.left > 0 || report.restless > 0) process.exitCode = 1;
  return report.next;
}

/** A walk over tenants as it is shown. Throws POSTGRES_*. */
async function longWork(
  label: string,
  { history }: RebuildWorld,
  { scope, flags }: { scope: TenantScope; flags: RebuildFlags },
): Promise<LongWork> {
  const total = scope.kind === 'named' ? scope.tenantIds.length : (await history.countLedger(scope.after)).accounts;
  return { label, total, unit: 'tenants', silent: flags.json === true, goOn: goOnWith(flags) };
}

/** Says how to go on after a tenant, as the end of a sentence. */
function goOnWith({ tenant, after, aside, accounts, dryRun }: RebuildFlags): (last: string) => string {
  const flags = [
    aside === true ? ' --aside' : '',
    accounts === true ? ' --accounts' : '',
    dryRun === true ? ' --dry-run' : '',
  ];
  return (last) =>
    tenant !== undefined || last === (after ?? '')
      ? 'before its end; run the same command again'
      : `after tenant ${last}; go on with: tollbook rebuild --all --after ${last}${flags.join('')}`;
}
