/**
 * Owns: the audit that never ends: some tenants at every turn, round and round over all, mending what it finds.
 * Does not own: when a turn is (projection-worker.ts), what is done with the figures (cli/audit-turns.ts).
 * Invariants: a turn looks at TENANTS_PER_TURN tenants at most, whatever the ledger has; a turn that fails is repeated from
 * the page it failed at.
 */
import { auditTenants, type TenantsAudit } from './audit-tenants.js';
import { type AuditRunPorts, repairAndLook } from './audit-sweep.js';

/** What a turn found. */
export interface AuditTurn {
  readonly audits: readonly TenantsAudit[];
  /** Tenants that were mended, and are right now. */
  readonly repaired: number;
  /** Whether every tenant has been looked at since the last turn that said so. */
  readonly isRoundComplete: boolean;
}

/** Settings of the rounds; times in milliseconds. */
export interface AuditRoundsOptions {
  readonly ports: AuditRunPorts;
  readonly leakAfterMs: number;
  readonly nowMs: () => number;
}

const PAGE_SIZE = 500;
/** Tenants named in the log for each page: after a loss of Redis it may be all of them. */
const REPORTED_MAX = 20;
/** Half a second of work at every turn, so that 100,000 tenants take 20 turns: under two hours at the default interval. */
const TENANTS_PER_TURN = 5_000;

/** Goes round over all tenants. */
export class AuditRounds {
  readonly #options: AuditRoundsOptions;
  #after = '';

  constructor(options: AuditRoundsOptions) {
    this.#options = options;
  }

  /** Audits the next tenants. Throws REDIS_*, POSTGRES_*. */
  async turn(): Promise<AuditTurn> {
    const audits: TenantsAudit[] = [];
    let repaired = 0;
    for (let looked = 0; looked < TENANTS_PER_TURN; looked += PAGE_SIZE) {
      const { audit, mended, isLast } = await this.#page();
      audits.push(audit);
      repaired += mended;
      if (isLast) return { audits, repaired, isRoundComplete: true };
    }
    return { audits, repaired, isRoundComplete: false };
  }

  async #page(): Promise<{ audit: TenantsAudit; mended: number; isLast: boolean }> {
    const { ports, leakAfterMs, nowMs } = this.#options;
    const page = await ports.reader.pageAccounts(this.#after, PAGE_SIZE);
    const tenantIds = page.map(({ tenantId }) => tenantId);
    const terms = { nowMs: nowMs(), leakAfterMs };
    const audit = await auditTenants(ports, tenantIds, terms);
    this.#report(audit);
    const mended = await repairAndLook(ports, audit.drifts, terms);
    const isLast = page.length < PAGE_SIZE;
    this.#after = isLast ? '' : (tenantIds[tenantIds.length - 1] ?? '');
    return { audit, mended, isLast };
  }

  #report({ drifts }: TenantsAudit): void {
    const { logger } = this.#options.ports;
    for (const { tenantId, version, seq, differences } of drifts.slice(0, REPORTED_MAX)) {
      const found = differences.map((each) => `${each.field}: ${each.found}, expected ${each.expected}`);
      logger.error({ tenantId, version, seq, differences: found }, 'audit found drift');
    }
    if (drifts.length > REPORTED_MAX) logger.error({ tenants: drifts.length }, 'audit found drift in many tenants');
  }
}
