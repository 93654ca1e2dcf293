/**
 * Owns: `tollbook trace show`: the whole life of one trace: entries, prices, positions, hold, what was set aside of it, and
 * what Redis still has in flight.
 * Does not own: how it looks (trace-documents.ts, trace-text.ts).
 * Invariants: reads only; a trace is looked up within its tenant, since every index of the ledger starts with the tenant.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { IDENTIFIER, IDENTIFIER_ALLOWED } from '../ledger/identifier.js';
import type { TraceKey } from '../ledger/ledger-store.js';
import { TollbookError } from '../runtime/errors.js';
import { withLedgerQueries } from './ledger-reading.js';
import { identifier } from './option-values.js';
import { glanceAtQuota } from './quota-glance.js';
import { outcomeOf, traceDocument, type TraceReport } from './trace-documents.js';
import { traceText } from './trace-text.js';
import { printJson, printText } from './output.js';

interface TraceFlags {
  readonly tenant: string;
  readonly json?: boolean;
}

/** Adds `trace` to the program. */
export function registerTraceShowCommand(program: Command): void {
  program
    .command('trace')
    .description('the life of a request')
    .command('show')
    .description('show everything the ledger knows of a trace, in order: hold, charge, refunds, prices, positions')
    .argument('<trace>', 'trace id; of a command, ~ and its key; ~~open is the opening of the account', traceArgument)
    .requiredOption('--tenant <id>', 'whose trace', identifier)
    .option('--json', 'print the trace as one JSON object')
    .action(async (traceId: string, { tenant: tenantId, json }: TraceFlags) => {
      const report = await readReport({ tenantId, traceId });
      if (json === true) printJson(traceDocument(report));
      else printText(traceText(report));
    });
}

/** Parses a trace id: of a request, or of an entry that a command made. */
export function traceArgument(text: string): string {
  if (IDENTIFIER.test(text.replace(/^~{1,2}/, ''))) return text;
  throw new InvalidArgumentError(`allowed: ${IDENTIFIER_ALLOWED}; before it ~ for the entry of a command`);
}

async function readReport(trace: TraceKey): Promise<TraceReport> {
  const report = await withLedgerQueries('trace-show', async (queries, config) => ({
    trace,
    glance: await glanceAtQuota(config, trace.tenantId),
    life: await queries.readTrace(trace),
  }));
  if (outcomeOf(report).state !== null) return report;
  throw new TollbookError(
    'TRACE_UNKNOWN',
    `tenant ${trace.tenantId} has no trace ${trace.traceId}: no entry, nothing parked, skipped or dead, nothing in flight`,
    { context: { tenantId: trace.tenantId, traceId: trace.traceId } },
  );
}
