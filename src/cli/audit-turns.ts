/**
 * Owns: the audit that a ledger process runs all the time: what it works on, and the figures that each turn adds.
 * A complete round is noted, so that `tollbook status` tells how old the latest one is.
 * Does not own: the audit (projections/audit-rounds.ts), when a turn is (projections/projection-worker.ts).
 */
import type pg from 'pg';
import type { LedgerReader } from '../ledger/ledger-reader.js';
import { PostgresLedgerHistory } from '../ledger/postgres/postgres-ledger-history.js';
import type { QuotaScripts } from '../lua/quota-scripts.js';
import { AuditRounds, type AuditTurn } from '../projections/audit-rounds.js';
import { amountText } from '../projections/audit-difference.js';
import { type AuditFigures, AuditTally } from '../projections/audit-tally.js';
import { writeCheck } from '../process/process-reports.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import type { Logger } from '../runtime/logger.js';
import type { Metrics } from '../runtime/metrics.js';

/** What the audit of a process works on. */
export interface AuditParts {
  readonly pool: pg.Pool;
  readonly reader: LedgerReader;
  readonly scripts: QuotaScripts;
  readonly metrics: Metrics;
}

/** The audit of a process: each call is a turn. When it is switched off, nothing is told of it and a turn does nothing. */
export function auditTurns(
  { config, logger }: { readonly config: Readonly<Config>; readonly logger: Logger },
  { pool, reader, scripts, metrics }: AuditParts,
): () => Promise<void> {
  if (config.auditIntervalMs === 0) return () => Promise.resolve();
  const rounds = new AuditRounds({
    ports: { reader, history: new PostgresLedgerHistory(pool), scripts, logger },
    leakAfterMs: config.inflightTtlMs,
    nowMs: () => systemClock.nowMs(),
  });
  const note = (findings: number): Promise<void> =>
    writeCheck(pool, { kind: 'audit', findings, scope: 'all tenants, by a running process' });
  return measuredAudit(rounds, { metrics, clock: systemClock, note });
}

/** Where the figures of an audit go. */
interface AuditAccount {
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Notes a complete round and the tenants it left with a difference. */
  readonly note: (findings: number) => Promise<void>;
}

/** The rounds of an audit, measured: each call is a turn. */
function measuredAudit(rounds: AuditRounds, { metrics, clock, note }: AuditAccount): () => Promise<void> {
  let completeMs = clock.nowMs();
  let round = new AuditTally();
  let mendedInRound = 0;
  metrics.watchAuditAge(() => (clock.nowMs() - completeMs) / 1000);
  return async () => {
    const turn = await rounds.turn();
    const { tenants, fields } = figuresOf(new AuditTally(), turn);
    const { amountNano, oldestMs, drifting } = figuresOf(round, turn);
    mendedInRound += turn.repaired;
    metrics.addAudit({
      tenants,
      differences: new Map([...fields].map(([field, { count }]) => [field, count])),
      // A figure for a dashboard: it may be rounded, no money is made of it.
      amountOfRound: Number(amountText(amountNano)),
      oldestOfRoundS: (oldestMs ?? 0) / 1000,
      repaired: turn.repaired,
    });
    if (!turn.isRoundComplete) return;
    completeMs = clock.nowMs();
    await note(drifting - mendedInRound);
    round = new AuditTally();
    mendedInRound = 0;
  };
}

/** The figures of a tally once a turn is added. */
function figuresOf(tally: AuditTally, { audits }: AuditTurn): AuditFigures {
  for (const audit of audits) tally.add(audit);
  return tally.figures();
}
