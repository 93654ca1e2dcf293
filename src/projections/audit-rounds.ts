/**
 * Owns: the audit that never ends: some tenants at every turn, round and round over all, mending what it finds. A round ends
 * with the keys in Redis that belong to no account.
 * Does not own: when a turn is (projection-worker.ts), what is done with the figures (cli/audit-turns.ts).
 * Invariants: a turn looks at TENANTS_PER_TURN tenants at most, whatever the ledger has; a turn that fails is repeated from
 * the page it failed at.
 */
import type { AuditTerms } from './audit-difference.js';
import type { TenantDrift } from './audit-drift.js';
import { orphanDrifts } from './audit-orphans.js';
import { repairDrift } from './audit-repair.js';
import { type AuditRunPorts, repairAndLook } from './audit-sweep.js';
import { auditTenants, NOTHING_WAITS, type TenantsAudit } from './audit-tenants.js';

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
/**
 * Half a second of work at every turn, so that 100,000 tenants take 20 turns, and some ten more for the keys of Redis: under
 * three hours at the default interval.
 */
const TENANTS_PER_TURN = 5_000;

/** What a page of a round found. */
interface AuditPage {
  readonly audit: TenantsAudit;
  readonly mended: number;
  /** Whether nothing of the round is left. */
  readonly isLast: boolean;
}

/** Goes round over all tenants. */
export class AuditRounds {
  readonly #options: AuditRoundsOptions;
  #after = '';
  /** Set while the accounts of the round are done, and the keys without an account are looked for. */
  #orphans: AsyncGenerator<readonly TenantDrift[]> | undefined;

  constructor(options: AuditRoundsOptions) {
    this.#options = options;
  }

  /** Audits the next tenants. Throws REDIS_*, POSTGRES_*. */
  async turn(): Promise<AuditTurn> {
    const audits: TenantsAudit[] = [];
    let repaired = 0;
    for (let looked = 0; looked < TENANTS_PER_TURN; looked += PAGE_SIZE) {
      const { audit, mended, isLast } = await (this.#orphans === undefined
        ? this.#page()
        : this.#orphanPage(this.#orphans));
      audits.push(audit);
      repaired += mended;
      if (isLast) return { audits, repaired, isRoundComplete: true };
    }
    return { audits, repaired, isRoundComplete: false };
  }

  async #page(): Promise<AuditPage> {
    const { ports } = this.#options;
    const page = await ports.reader.pageAccounts(this.#after, PAGE_SIZE);
    const tenantIds = page.map(({ tenantId }) => tenantId);
    const terms = this.#terms();
    const audit = await auditTenants(ports, tenantIds, terms);
    this.#report(audit);
    const mended = await repairAndLook(ports, audit.drifts, terms);
    const isLast = page.length < PAGE_SIZE;
    this.#after = isLast ? '' : (tenantIds[tenantIds.length - 1] ?? '');
    if (isLast) this.#orphans = orphanDrifts(ports, this.#terms());
    return { audit, mended, isLast: false };
  }

  /** A generator that has failed yields nothing more: the next round looks again. */
  async #orphanPage(orphans: AsyncGenerator<readonly TenantDrift[]>): Promise<AuditPage> {
    const next = await orphans.next();
    if (next.done === true) this.#orphans = undefined;
    const drifts = next.done === true ? [] : next.value;
    const audit = { looked: 0, drifts, behind: NOTHING_WAITS, unsettled: NOTHING_WAITS, restless: [] };
    this.#report(audit);
    const mended = drifts.length === 0 ? 0 : (await repairDrift(this.#options.ports, drifts)).length;
    return { audit, mended, isLast: next.done === true };
  }

  #terms(): AuditTerms {
    const { leakAfterMs, nowMs } = this.#options;
    return { nowMs: nowMs(), leakAfterMs };
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
