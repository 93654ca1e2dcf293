/**
 * Owns: the proof of what stands beside the entries: every row that was set aside has the hash of its content, the hashes of a
 * batch have the root that it sealed, and every command has the content that its entry covers.
 * Does not own: how many rows there are and where they stand (ledger/postgres/record-rows.ts), the hash of a batch (verify-chain.ts).
 * Invariants: one snapshot; reads only; memory is bounded by the rows of one batch; one fault gives few findings.
 */
import { canonicalJson } from '../ledger/canonical-json.js';
import { commandHash } from '../ledger/commands/command-hash.js';
import {
  type AsideGroup,
  asideGroupOfLine,
  asideGroupStatement,
  type AsideLine,
  asideOfLine,
  asideStatements,
  type CommandLine,
  commandOfLine,
  commandStatement,
} from '../ledger/postgres/aside-lines.js';
import { LineReader } from '../ledger/postgres/batch-lines.js';
import type { ProofScope } from '../ledger/postgres/proof-scope.js';
import type { ProofSnapshot } from '../ledger/postgres/proof-snapshot.js';
import { asideHash, type AsideKind, asideRoot } from '../ledger/set-aside.js';
import type { ProblemReport } from './verify-problem.js';

/** What a row of each kind is called in findings. */
const NAMES: Readonly<Record<AsideKind, string>> = {
  deadLetter: 'dead letter',
  skipped: 'skipped event',
  unpriced: 'parked completion',
};

/** Proves what a scope set aside, and its commands. Throws POSTGRES_*. */
export async function proveAside(snapshot: ProofSnapshot, scope: ProofScope, report: ProblemReport): Promise<void> {
  for (const statement of asideStatements(scope)) {
    await eachLine(snapshot, statement, (line) => checkRow(asideOfLine(line), report));
  }
  await eachLine(snapshot, asideGroupStatement(scope), (line) => checkGroup(asideGroupOfLine(line), report));
  if (scope.kind === 'source') return;
  await eachLine(snapshot, commandStatement(scope), (line) => checkCommand(commandOfLine(line), report));
}

async function eachLine(snapshot: ProofSnapshot, statement: string, check: (line: string) => void): Promise<void> {
  const lines = new LineReader(snapshot.lines(statement));
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) check(line);
}

function checkRow({ facts, rowHash }: AsideLine, report: ProblemReport): void {
  const content = canonicalJson(JSON.parse(facts.content));
  const reason = facts.kind === 'unpriced' ? canonicalJson(JSON.parse(facts.reason)) : facts.reason;
  if (asideHash({ ...facts, reason, content }) === rowHash) return;
  const { kind, topic, partition, kafkaOffset, tenantId, traceId } = facts;
  const whose = traceId === null ? '' : ` (trace ${traceId}${tenantId === null ? '' : ` of ${tenantId}`})`;
  const message = `${NAMES[kind]} ${topic}/${partition}/${kafkaOffset}${whose} does not have the hash of its content`;
  report({ kind: 'setAside', message });
}

/** Rows that are missing or too many are another check's finding. */
function checkGroup({ name, sealedRows, asideRoot: sealed, rowHashes }: AsideGroup, report: ProblemReport): void {
  if (rowHashes.length !== sealedRows || asideRoot(rowHashes).toString('hex') === sealed) return;
  report({ kind: 'setAside', message: `batch ${name} has another root than the hashes of what it set aside` });
}

function checkCommand({ content, seq, commandHash: covered, ...record }: CommandLine, report: ProblemReport): void {
  if (commandHash({ ...record, content: JSON.parse(content) as unknown }) === covered) return;
  const message = `command ${record.key} of ${record.tenantId} is not the one that its entry #${seq} covers`;
  report({ kind: 'command', message });
}
