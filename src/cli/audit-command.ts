/**
 * Owns: `tollbook audit`: Redis held against the ledger, once; repaired when asked.
 * Does not own: the audit (src/projections), how it looks (audit-documents.ts).
 * Invariants: without --repair nothing is written but the note that all was looked at; exit code 0 only when no difference is left and all was looked at.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { auditLedger } from '../projections/audit-sweep.js';
import type { TenantScope } from '../projections/tenant-walk.js';
import { auditDocument, auditText } from './audit-documents.js';
import { noteCheck } from './noted-check.js';
import { identifier, wholeNumber } from './option-values.js';
import { assertTenants, type RebuildWorld, withRebuildWorld } from './rebuild-world.js';
import { TollbookError } from '../runtime/errors.js';
import { printJson, printText } from './output.js';

interface AuditFlags {
  readonly sample: number | 'all';
  readonly tenant?: readonly string[];
  readonly leakAfter?: number;
  readonly repair?: boolean;
  readonly json?: boolean;
}

const SAMPLE_MAX = 10_000_000;
const DAY_S = 86_400;

const HELP = `
Compares each quota hash at its version with the ledger at that version, every item in flight with the ledger, and the
sums of the items with the items; traffic may run. A hash that is behind for a moment is no difference, nor is an item whose charge
is under way: an item counts as leaked when it has not reached the ledger after TOLLBOOK_INFLIGHT_TTL_MS, or --leak-after.
When nothing charges, --leak-after 0 names every item that is in flight without an entry.
Exit code 0: no difference is left. 1: there is one, or not all could be looked at.`;

/** Adds `audit` to the program. */
export function registerAuditCommand(program: Command): void {
  program
    .command('audit')
    .description('hold what Redis says of every tenant against the ledger, and repair what differs when asked')
    .option('--sample <n|all>', 'look at so many tenants drawn at random, or at all', sampleSize, 'all')
    .option('--tenant <id>', 'look at this tenant; may be given several times', addTenant)
    .option(
      '--leak-after <seconds>',
      'when an item in flight without an entry counts as leaked',
      wholeNumber(0, 30 * DAY_S),
    )
    .option('--repair', 'set what differs to what the ledger says')
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', HELP)
    .action((flags: AuditFlags, command: Command) => {
      if (flags.tenant !== undefined && command.getOptionValueSource('sample') === 'cli') {
        throw new TollbookError('USAGE_INVALID', '--sample and --tenant are both given; allowed: one of them');
      }
      return runAudit(flags);
    });
}

/** Collects tenants that are named one by one. */
export function addTenant(text: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, identifier(text)];
}

function sampleSize(text: string): number | 'all' {
  if (text === 'all') return text;
  try {
    return wholeNumber(1, SAMPLE_MAX)(text);
  } catch {
    throw new InvalidArgumentError(`allowed: a whole number from 1 to ${SAMPLE_MAX}, or all`);
  }
}

async function runAudit(flags: AuditFlags): Promise<void> {
  await withRebuildWorld('audit', async (world) => {
    const scope = await scopeOf(world, flags);
    const total = scope.kind === 'named' ? scope.tenantIds.length : (await world.history.countLedger()).accounts;
    const report = await world.walk(
      { label: 'auditing', total, unit: 'tenants', silent: flags.json === true },
      (control) =>
        auditLedger(world, {
          ...control,
          scope,
          repairs: flags.repair === true,
          leakAfterMs: flags.leakAfter === undefined ? world.config.inflightTtlMs : flags.leakAfter * 1000,
          nowMs: () => world.clock.nowMs(),
        }),
    );
    if (flags.json === true) printJson(auditDocument(report, flags.repair === true));
    else printText(auditText(report, flags.repair === true));
    if (report.left > 0 || report.restless > 0) process.exitCode = 1;
    if (scope.kind === 'all' && report.next === null) {
      await noteCheck(world.pool, { kind: 'audit', findings: report.left + report.restless, scope: 'all tenants' });
    }
    if (report.next !== null) throw world.stopped(`when ${report.tenants} of ${total} tenants were looked at`);
  });
}

async function scopeOf(world: RebuildWorld, { sample, tenant }: AuditFlags): Promise<TenantScope> {
  if (tenant !== undefined) {
    await assertTenants(world, tenant);
    return { kind: 'named', tenantIds: tenant };
  }
  if (sample === 'all') return { kind: 'all', after: '' };
  return { kind: 'named', tenantIds: await world.history.sampleTenants(sample) };
}
