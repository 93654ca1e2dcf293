/**
 * Owns: the reading ports of a simulation: each read is one step, and one snapshot of the committed rows.
 * Does not own: the rows (ledger-rows.ts).
 */
import type { Account } from '../../src/ledger/account.js';
import type { StreamSource } from '../../src/ledger/batch.js';
import type { DueHold, DueHolds } from '../../src/ledger/expiry.js';
import type { AccountProgress, LedgerReader, TraceStep } from '../../src/ledger/ledger-reader.js';
import type { Cursor, TraceKey } from '../../src/ledger/ledger-store.js';
import { type LedgerRows, sourceKey } from './ledger-rows.js';
import type { StepScheduler } from './step-scheduler.js';

/** Reads simulated rows. */
export class SimulatedLedgerReader implements LedgerReader, DueHolds {
  readonly #rows: LedgerRows;
  readonly #scheduler: StepScheduler;

  constructor(rows: LedgerRows, scheduler: StepScheduler) {
    this.#rows = rows;
    this.#scheduler = scheduler;
  }

  async readProgress(
    since: readonly { readonly tenantId: string; readonly sinceSeq: number }[],
    stepsMax: number,
  ): Promise<AccountProgress[]> {
    await this.#scheduler.step();
    return since.flatMap(({ tenantId, sinceSeq }) => {
      const account = this.#rows.accounts.get(tenantId);
      const after = this.#rows.entriesOf(tenantId).filter(({ seq, type }) => seq > sinceSeq && type === 'DEDUCT');
      return account === undefined ? [] : [{ account, steps: after.slice(0, stepsMax) }];
    });
  }

  async readSteps(traces: readonly TraceKey[]): Promise<TraceStep[]> {
    await this.#scheduler.step();
    return traces.flatMap((trace) => this.#rows.entriesOfTrace(trace));
  }

  async pageAccounts(afterTenantId: string, limit: number): Promise<{ tenantId: string; seq: number }[]> {
    await this.#scheduler.step();
    const after = [...this.#rows.accounts.values()].filter(({ tenantId }) => tenantId > afterTenantId);
    return after.sort((left, right) => (left.tenantId < right.tenantId ? -1 : 1)).slice(0, limit);
  }

  async readAccounts(tenantIds: readonly string[]): Promise<Map<string, Account>> {
    await this.#scheduler.step();
    return new Map([...this.#rows.accounts].filter(([tenantId]) => tenantIds.includes(tenantId)));
  }

  async readCursor(source: StreamSource): Promise<Cursor | undefined> {
    await this.#scheduler.step();
    return this.#rows.cursors.get(sourceKey(source));
  }

  async readCursors(): Promise<Cursor[]> {
    await this.#scheduler.step();
    return [...this.#rows.cursors.values()];
  }

  async tenantsOfBatches(source: StreamSource, fromBatchNo: number, toBatchNo: number): Promise<string[]> {
    await this.#scheduler.step();
    const batches = this.#rows.batches.filter(
      (batch) =>
        sourceKey(batch.source) === sourceKey(source) && batch.batchNo > fromBatchNo && batch.batchNo <= toBatchNo,
    );
    const isIn = (offset: bigint): boolean =>
      batches.some(({ firstOffset, nextOffset }) => offset >= firstOffset && offset < nextOffset);
    const entries = [...this.#rows.entries.values()].flat();
    const sealed = entries.filter(
      (entry) => sourceKey(entry.source) === sourceKey(source) && isIn(entry.source.kafkaOffset),
    );
    return [...new Set(sealed.map(({ tenantId }) => tenantId))];
  }

  async readDue(nowMs: number, limit: number): Promise<DueHold[]> {
    await this.#scheduler.step();
    const due = [...this.#rows.holds.values()].filter(({ expiresAt }) => Date.parse(expiresAt) <= nowMs);
    return due
      .sort((left, right) => Date.parse(left.expiresAt) - Date.parse(right.expiresAt))
      .slice(0, limit)
      .flatMap((hold) => {
        const entry = this.#rows.entriesOfTrace(hold).find(({ status }) => status === 'PENDING');
        return entry === undefined ? [] : [{ entry, expiresAt: hold.expiresAt }];
      });
  }
}
