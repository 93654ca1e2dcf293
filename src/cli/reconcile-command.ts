/**
 * Owns: `tollbook reconcile`: re-reads the topics, compares them with the ledger, and repairs what is missing.
 * Does not own: the comparison and the repair (src/reconciliation), the options (reconcile-options.ts).
 * Invariants: reads only, unless it repairs or someone signs; stdout carries the result alone, with --json exactly one
 * JSON document; the exit code is 0 only when both sides are equal, after a repair if there was one.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { reconcile, type ReconcileResult } from '../reconciliation/reconcile/reconcile.js';
import { reportMarkdown } from '../reconciliation/reconcile/report-markdown.js';
import { type ReconcileReport, reportOf } from '../reconciliation/reconcile/report.js';
import { recordRun } from '../reconciliation/repair/repair-store.js';
import { TollbookError } from '../runtime/errors.js';
import { packageVersion } from './package-version.js';
import { startProgress } from './progress.js';
import { assertRepairFlags, type ReconcileFlags, reconcileOptions, requestOf } from './reconcile-options.js';
import { type RepairDocument, repairMissing } from './reconcile-repair.js';
import { reconcileText } from './reconcile-text.js';
import { type ReconcileWorld, withReconcileWorld } from './reconcile-world.js';
import { noteCheck } from './noted-check.js';
import { printText } from './output.js';

const HELP = `
Reads both topics with a reader of its own (no consumer group) from the start of what Kafka still has to where the logs end
now, derives from each message what it must have become, and compares that with the ledger, field by field. Traffic may go
on: what is not charged yet is counted, not missing. Where an outcome depends on what came first, the ledger's own order
decides. Exit code 0: equal. 1: something differs, or Kafka no longer has what was asked for.

--repair shows what is missing, sends it through the charge protocol, and compares once more. Nothing is charged twice, and
entries that are wrong stay as they are: the report says what an operator can do about each.`;

/** Adds `reconcile` to the program. */
export function registerReconcileCommand(program: Command): void {
  reconcileOptions(
    program.command('reconcile').description('re-read the topics and prove that the ledger has everything, once'),
  )
    .addHelpText('after', HELP)
    .action(run);
}

interface Outcome {
  readonly report: ReconcileReport;
  readonly repair?: RepairDocument;
  readonly afterRepair?: ReconcileReport;
}

async function run(flags: ReconcileFlags): Promise<void> {
  assertRepairFlags(flags);
  const outcome = await withReconcileWorld(flags, requestOf, async (world) => {
    const found = await runIn(world, flags);
    await note(world, found.afterRepair ?? found.report);
    return found;
  });
  const { report, afterRepair } = outcome;
  printText(
    flags.json === true
      ? `${JSON.stringify({ ...report, ...withoutReport(outcome) })}\n`
      : reconcileText(outcome.report, outcome),
  );
  if ((afterRepair ?? report).verdict !== 'equal') process.exitCode = 1;
}

/** Notes a comparison of both topics, from their beginnings to their ends; of a part, nothing is noted. */
async function note({ pool, request, coversAllTopics }: ReconcileWorld, { findings }: ReconcileReport): Promise<void> {
  const isPart = [request.partitions, request.fromOffset, request.toOffset, request.sinceMs, request.untilMs].some(
    (bound) => bound !== undefined,
  );
  if (isPart || !coversAllTopics) return;
  await noteCheck(pool, { kind: 'reconcile', findings: findings.total, scope: 'both topics' });
}

function withoutReport({ repair, afterRepair }: Outcome): Partial<Outcome> {
  return { ...(repair === undefined ? {} : { repair }), ...(afterRepair === undefined ? {} : { afterRepair }) };
}

async function runIn(world: ReconcileWorld, flags: ReconcileFlags): Promise<Outcome> {
  const { actor, reason = null } = flags;
  const first = await compare(world, flags);
  const report = await told(first, flags);
  const isRepairing = flags.repair === true && first.state.repairable.length > 0;
  const isSigned = actor !== undefined && flags.dryRun !== true;
  if (isSigned) await recordRun(world.pool, report, { kind: isRepairing ? 'repair' : 'reconcile', actor, reason });
  if (!isRepairing || actor === undefined || reason === null) return { report };
  if (flags.json !== true && flags.dryRun !== true) process.stderr.write(planText(first));
  const signer = { runId: report.runId, actor, reason };
  const repair = await repairMissing(world, first, {
    signer,
    isDryRun: flags.dryRun === true,
    silent: flags.json === true,
  });
  if (flags.dryRun === true) return { report, repair };
  const afterRepair = await told(await compare(world, flags), flags);
  await recordRun(world.pool, afterRepair, { kind: 'reconcile', actor, reason: null });
  return { report, repair, afterRepair };
}

function planText({ state: { repairable } }: ReconcileResult): string {
  const messages = repairable.length === 1 ? '1 message' : `${repairable.length} messages`;
  return `${messages} that the ledger has no trace of will be sent through the charge protocol (--dry-run names them)\n`;
}

async function compare(
  { ports, request, coversAllTopics }: ReconcileWorld,
  flags: ReconcileFlags,
): Promise<ReconcileResult> {
  let progress: ReturnType<typeof startProgress> | undefined;
  try {
    return await reconcile(ports, {
      ...{ request, coversAllTopics, resumeFile: flags.resume },
      onProgress: (done, total) => {
        progress ??= startProgress({ label: 'reconciling', total, unit: 'offsets', silent: flags.json === true });
        progress.set(done);
      },
    });
  } finally {
    progress?.stop();
  }
}

async function told(result: ReconcileResult, flags: ReconcileFlags): Promise<ReconcileReport> {
  const identity = { runId: randomUUID(), version: packageVersion(), signedBy: flags.actor ?? null };
  const report = reportOf(result, identity);
  if (flags.report !== undefined) await writeReport(flags.report, report);
  return report;
}

/** Writes the report as RUN.json and RUN.md. Throws FILE_UNREADABLE. */
async function writeReport(folder: string, report: ReconcileReport): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${report.runId}.json`), `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(join(folder, `${report.runId}.md`), reportMarkdown(report));
  } catch (cause) {
    throw new TollbookError('FILE_UNREADABLE', `the report cannot be written to ${folder}`, {
      cause,
      context: { folder },
    });
  }
}
