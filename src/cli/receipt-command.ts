/**
 * Owns: `tollbook receipt issue | verify`: the document that proves an entry to a customer, and the check that a customer
 * can run with nothing but the document.
 * Does not own: the document and the check (src/reconciliation/receipt*.ts).
 * Invariants: `verify` reads no settings and connects to nothing; its exit code is 0 only for a valid receipt.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { batchHash } from '../ledger/batch.js';
import { displayAmount } from '../ledger/money.js';
import { AnchorFile } from '../reconciliation/anchor-file.js';
import { checkReceipt, type ReceiptVerdict } from '../reconciliation/receipt-check.js';
import { type IssuedReceipt, issueReceipt } from '../reconciliation/receipt-issue.js';
import { sourceName } from '../reconciliation/verify-chain.js';
import { systemClock } from '../runtime/clock.js';
import { loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { anchorPlaces, filePath } from './anchor-parts.js';
import { identifier, wholeNumber } from './option-values.js';
import { traceArgument } from './trace-show-command.js';
import { printJson, printText } from './output.js';

interface IssueFlags {
  readonly entry?: number;
  readonly out?: string;
  readonly anchor: boolean;
  readonly anchorsFile?: string;
  readonly linksMax: number;
}

const LINKS_DEFAULT = 1_000;
const LINKS_MAX = 100_000;

/** Adds `receipt` to the program. */
export function registerReceiptCommand(program: Command): void {
  const receipt = program.command('receipt').description('prove an entry to someone who has no access to the ledger');
  receipt
    .command('issue', { isDefault: true })
    .description('write the receipt of an entry: its batch, its place in it, and the way to an anchor')
    .argument('<tenant>', 'whose entry', identifier)
    .argument('<trace>', 'trace id; of a command, ~ and its key; ~~open is the opening of the account', traceArgument)
    .option('--entry <seq>', 'which entry of the trace; its charge, else its last one', wholeNumber(1, 2 ** 53 - 1))
    .option('--out <file>', 'write it to this file; stdout unless given', filePath)
    .option('--no-anchor', 'do not look for an anchor')
    .option('--anchors-file <file>', 'look for the anchor in this file, not where the settings say', filePath)
    .option(
      '--links-max <n>',
      'most batches between the entry and its anchor',
      wholeNumber(0, LINKS_MAX),
      LINKS_DEFAULT,
    )
    .addHelpText('after', '\nFor a tenant called "issue" or "verify": tollbook receipt issue TENANT TRACE.')
    .action(issue);
  receipt
    .command('verify')
    .description('check a receipt with nothing but the receipt: no database, no Kafka, no settings')
    .argument('<file>', 'the receipt; - reads it from stdin', filePath)
    .option(
      '--anchors-file <file>',
      'demand that an anchor in this file vouches for what the receipt leads to',
      filePath,
    )
    .option('--json', 'print the verdict as one JSON object')
    .action(verify);
}

async function issue(tenantId: string, traceId: string, flags: IssueFlags): Promise<void> {
  const issued = await issueFor({ tenantId, traceId }, flags);
  const document = `${JSON.stringify(issued.receipt, null, 2)}\n`;
  if (flags.out === undefined) printText(document);
  else await writeOut(flags.out, document);
  process.stderr.write(`${reachText(issued)}\n`);
}

async function issueFor(trace: { tenantId: string; traceId: string }, flags: IssueFlags): Promise<IssuedReceipt> {
  const config = loadConfig();
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-receipt',
    connectionsMax: 1,
  });
  try {
    const places = flags.anchor ? anchorPlaces(config, flags.anchorsFile) : [];
    const ports = { pool, clock: systemClock };
    return await issueReceipt(ports, { trace, seq: flags.entry, linksMax: flags.linksMax, places });
  } finally {
    await pool.end();
  }
}

async function writeOut(path: string, document: string): Promise<void> {
  try {
    await writeFile(path, document);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TollbookError('FILE_UNREADABLE', `the receipt cannot be written: ${why}`, { cause: error });
  }
}

/** How far the receipt reaches, for whoever issues it. */
function reachText({ receipt, anchorDistance }: IssuedReceipt): string {
  const { reaches, links, head } = receipt.chain;
  const { tenant_id: tenantId, seq } = receipt.entry.fields;
  const name = `receipt for entry ${tenantId}#${seq}`;
  const reached = Number(receipt.batch.fields['batch_no']) + links.length;
  if (reaches === 'anchor') return `${name}: leads to the anchor of batch #${reached}`;
  const anchors =
    anchorDistance === undefined
      ? 'no anchor of it was found'
      : `the nearest anchor is ${anchorDistance} batches later (--links-max)`;
  const end = reaches === 'head' ? `leads to the head of its chain, batch ${head.batch_no}` : 'ends at its own batch';
  return `${name}: ${end}; ${anchors}, so nothing outside of the ledger vouches for it yet`;
}

async function verify(
  path: string,
  { anchorsFile, json }: { readonly anchorsFile?: string; readonly json?: boolean },
): Promise<void> {
  const checked = checkReceipt(await readDocument(path));
  const verdict = anchorsFile === undefined ? checked : await vouchedFor(checked, anchorsFile);
  if (json === true) printJson(verdictDocument(verdict));
  else printText(verdictText(verdict));
  if (verdict.kind === 'invalid') process.exitCode = 1;
}

/** Turns a receipt down that leads to no batch which an anchor in the file names, with its hash. */
async function vouchedFor(verdict: ReceiptVerdict, path: string): Promise<ReceiptVerdict> {
  if (verdict.kind === 'invalid') return verdict;
  const { source, batchNo } = verdict.tip;
  const name = `${sourceName(source)}#${batchNo}`;
  const hash = batchHash(verdict.tip).toString('hex');
  for await (const found of await new AnchorFile(path, { mustExist: true }).freeze()) {
    if (found.kind !== 'anchor' || `${sourceName(found.anchor.source)}#${found.anchor.batchNo}` !== name) continue;
    if (found.anchor.hash === hash) return { ...verdict, anchor: found.anchor };
  }
  const why = `leads to batch ${name} with hash ${hash}, which no anchor in ${path} has`;
  return { kind: 'invalid', where: 'chain', why };
}

async function readDocument(path: string): Promise<string> {
  try {
    return await readFile(path === '-' ? '/dev/stdin' : path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TollbookError('FILE_UNREADABLE', `the receipt cannot be read: ${why}`, { cause: error });
  }
}

function verdictDocument(verdict: ReceiptVerdict): Record<string, unknown> {
  if (verdict.kind === 'invalid') return { valid: false, where: verdict.where, why: verdict.why };
  const { receipt, batch, tip, anchor } = verdict;
  return {
    valid: true,
    entry: receipt.entry.fields,
    entryHash: receipt.entry.hash,
    batch: {
      source: sourceName(batch.source),
      batchNo: batch.batchNo,
      hash: receipt.batch.hash,
      sealedAt: batch.sealedAt,
    },
    reaches: receipt.chain.reaches,
    reachesBatchNo: tip.batchNo,
    anchoredAt: anchor?.anchoredAt ?? null,
  };
}

function verdictText(verdict: ReceiptVerdict): string {
  if (verdict.kind === 'invalid') return `NOT valid: ${verdict.where} ${verdict.why}\n`;
  const { entry, batch, tip, anchor, receipt } = verdict;
  const model = entry.usage.model === null ? '' : `, ${entry.usage.model}`;
  const lines = [
    `entry ${entry.tenantId}#${entry.seq}: ${entry.type} ${entry.status} ${displayAmount(entry.amountNano)} ${entry.currency}`,
    `  trace ${entry.traceId}, ${entry.occurredAt}${model}`,
    `  balance ${displayAmount(entry.balanceBeforeNano)} → ${displayAmount(entry.balanceAfterNano)}`,
    `sealed in batch ${sourceName(batch.source)}#${batch.batchNo} at ${batch.sealedAt}, hash ${receipt.batch.hash}`,
    anchor === undefined
      ? `leads to batch #${tip.batchNo}: compare its hash with one you trust; no anchor is part of this receipt`
      : `leads to batch #${tip.batchNo}, anchored at ${anchor.anchoredAt}: compare with the anchor where it was published`,
    'valid',
  ];
  return `${lines.join('\n')}\n`;
}
