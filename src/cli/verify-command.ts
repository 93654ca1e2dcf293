/**
 * Owns: `tollbook verify`: what is verified, the progress, and how the result looks.
 * Does not own: the proofs (src/reconciliation).
 * Invariants: writes nothing but the note that everything was verified; exit code 0 only when nothing was found; the document
 * or the text goes to stdout, progress to stderr.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ProofScope } from '../ledger/postgres/proof-scope.js';
import type { AnchorPlace, FoundAnchor } from '../reconciliation/anchor.js';
import { verifyLedger, type VerifyReport } from '../reconciliation/verify-ledger.js';
import { systemClock } from '../runtime/clock.js';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { anchorPlaces, filePath, noAnchorPlace } from './anchor-parts.js';
import { unknownAccount } from './ledger-reading.js';
import { noteCheck } from './noted-check.js';
import { identifier, wholeNumber } from './option-values.js';
import { startProgress } from './progress.js';
import { verifyDocument, verifyText } from './verify-documents.js';
import { printJson, printText } from './output.js';

interface VerifyFlags {
  readonly full?: boolean;
  readonly tenant?: string;
  readonly source?: Extract<ProofScope, { kind: 'source' }>;
  readonly anchors?: boolean;
  readonly anchorsFile?: string;
  readonly problemsMax: number;
  readonly json?: boolean;
}

/** One snapshot, two streams of entries and batches, and one to spare. */
const CONNECTIONS = 4;
const PROBLEMS_DEFAULT = 20;
const PROBLEMS_MAX = 100_000;
const SOURCE = /^(~?[A-Za-z0-9._-]{1,249})(?:\/(\d{1,9}))?$/;
const SOURCE_ALLOWED = 'allowed: TOPIC or TOPIC/PARTITION, such as usage.completed/3 or ~commands';

/** Adds `verify` to the program. */
export function registerVerifyCommand(program: Command): void {
  program
    .command('verify')
    .description('prove that nothing in the ledger was added, changed, moved or lost')
    .addOption(new Option('--full', 'everything (the default)').conflicts(['tenant', 'source']))
    .addOption(
      new Option('--tenant <id>', 'the entries of one tenant, its account and holds, and the batches they stand in')
        .argParser(identifier)
        .conflicts('source'),
    )
    .addOption(
      new Option('--source <source>', 'the chains of a topic, or of one of its partitions').argParser(sourceValue),
    )
    .option('--anchors', 'check that every anchor published outside of the database still lies on its chain')
    .option(
      '--anchors-file <file>',
      'check the anchors in this file, instead of those where the settings say',
      filePath,
    )
    .option('--problems-max <n>', 'findings to tell; all are counted', wholeNumber(1, PROBLEMS_MAX), PROBLEMS_DEFAULT)
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nEverything is judged as of the moment the command starts; traffic goes on meanwhile. Without --anchors, a chain\n' +
        'whose last batches were removed together with their entries looks like one that never had them.',
    )
    .action(run);
}

/** Parses a source. */
function sourceValue(text: string): Extract<ProofScope, { kind: 'source' }> {
  const [, topic, partition] = SOURCE.exec(text) ?? [];
  if (topic === undefined) throw new InvalidArgumentError(SOURCE_ALLOWED);
  return { kind: 'source', topic, partition: partition === undefined ? undefined : Number(partition) };
}

async function run(flags: VerifyFlags): Promise<void> {
  const config = loadConfig();
  const wantsAnchors = flags.anchors === true || flags.anchorsFile !== undefined;
  const places = wantsAnchors ? anchorPlaces(config, flags.anchorsFile) : [];
  if (wantsAnchors && places.length === 0) throw noAnchorPlace();
  const scope = scopeOf(flags);
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-verify',
    connectionsMax: CONNECTIONS,
  });
  try {
    // Before the snapshot: an anchor that is published after it would look as if its chain were cut off.
    const anchors = wantsAnchors ? await freezeAll(places) : undefined;
    const startedMs = systemClock.nowMs();
    const report = await withProgress(flags.json === true, (onProgress) =>
      verifyLedger(pool, { scope, anchors, onProgress, problemsMax: flags.problemsMax }),
    );
    assertSomething(scope, report);
    const run = { scope, report, elapsedMs: systemClock.nowMs() - startedMs };
    if (flags.json === true) printJson(verifyDocument(run));
    else printText(verifyText(run));
    if (report.problemCount > 0) process.exitCode = 1;
    if (scope.kind === 'full') {
      const what = wantsAnchors ? 'everything, against its anchors' : 'everything';
      await noteCheck(pool, { kind: 'verify', findings: report.problemCount, scope: what });
    }
  } finally {
    await pool.end();
  }
}

function scopeOf({ tenant, source }: VerifyFlags): ProofScope {
  if (tenant !== undefined) return { kind: 'tenant', tenantId: tenant };
  return source ?? { kind: 'full' };
}

async function freezeAll(places: readonly AnchorPlace[]): Promise<AsyncIterable<FoundAnchor>> {
  const frozen: FrozenPlace[] = [];
  for (const place of places) frozen.push({ name: place.name, anchors: await place.freeze() });
  return inOrder(frozen);
}

interface FrozenPlace {
  readonly name: string;
  readonly anchors: AsyncIterable<FoundAnchor>;
}

/** The anchors of one place after the other; a place that holds none, as when somebody emptied it, is told too. */
async function* inOrder(places: readonly FrozenPlace[]): AsyncGenerator<FoundAnchor> {
  for (const { name, anchors } of places) {
    let isEmpty = true;
    for await (const found of anchors) {
      isEmpty = false;
      yield found;
    }
    if (isEmpty) yield { kind: 'none', place: name };
  }
}

async function withProgress<T>(
  silent: boolean,
  work: (onProgress: (done: number, total: number) => void) => Promise<T>,
): Promise<T> {
  let progress: ReturnType<typeof startProgress> | undefined;
  try {
    return await work((done, total) => {
      progress ??= startProgress({ label: 'verifying', total, unit: 'entries', silent });
      progress.set(done);
    });
  } finally {
    progress?.stop();
  }
}

/** A name that nothing in the ledger has is a slip, not a clean result. */
function assertSomething(scope: ProofScope, { accounts, batches, problemCount }: VerifyReport): void {
  if (accounts + batches + problemCount > 0) return;
  if (scope.kind === 'tenant') throw unknownAccount(scope.tenantId);
  if (scope.kind === 'full') return;
  const name = scope.partition === undefined ? scope.topic : `${scope.topic}/${scope.partition}`;
  throw new TollbookError(
    'USAGE_INVALID',
    `--source is ${name}, which has no sealed batch; "tollbook cursors list" shows every source`,
  );
}
