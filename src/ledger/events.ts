/**
 * Owns: the usage events as decoded facts, after validation, in the words of the ledger.
 * Does not own: their wire form and its validation (src/contract), nor what they do to an account (trace.ts).
 * Invariants: times are UTC with milliseconds; quantities are non-negative safe integers; prices are decimal strings
 * with every digit they came with; a missing price is absent, never zero.
 */

/** How a completed request ended at the gateway. */
export type UsageOutcome = 'succeeded' | 'failed' | 'cancelled';

/** The prices an event carries: per 1,000 units of each meter, in `currency`, as plain decimal strings. */
export interface EventPricing {
  readonly inputPer1k?: string;
  readonly outputPer1k?: string;
  readonly currency: string;
  /** Price per 1,000 units of each further meter, by meter name. */
  readonly meters?: Readonly<Record<string, string>>;
  readonly priceVersion?: string;
}

/** Which gateway instance published an event, in which run of it (epoch), and as which number (seq, from 0). */
export interface EventProducer {
  readonly instance: string;
  readonly epoch: number;
  readonly seq: number;
}

interface UsageIdentity {
  readonly eventId: string;
  readonly traceId: string;
  /** Absent for traffic that belongs to no tenant; such an event is not billable. */
  readonly tenantId?: string;
  readonly apiKeyId?: string;
  /** RFC 3339 in UTC with milliseconds, as `Date.prototype.toISOString` writes it. */
  readonly occurredAt: string;
  readonly provider: string;
  readonly model: string;
  /** The class that the provider served it in, such as `priority`; absent: standard. Price books price by it. */
  readonly priceClass?: string;
  readonly presetItemId?: string;
  /** Whose usage it was, besides the tenant's; for reports, they decide nothing. */
  readonly userId?: string;
  readonly projectId?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly stream: boolean;
  readonly pricing?: EventPricing;
  readonly producer?: EventProducer;
}

/** A request was admitted and may cost up to its estimate. */
export interface UsagePending extends UsageIdentity {
  readonly kind: 'pending';
  readonly estimate: {
    readonly inputTokens: number;
    /** Absent when the gateway names no bound: the ledger then holds for its configured default. */
    readonly maxOutputTokens?: number;
    /** Quantity of each further meter that the request may use, by meter name. */
    readonly meters?: Readonly<Record<string, number>>;
  };
}

/** A request has ended and used exactly this much. */
export interface UsageCompleted extends UsageIdentity {
  readonly kind: 'completed';
  readonly outcome: UsageOutcome;
  readonly usage: {
    readonly inputTokens: number;
    readonly outputTokens: number;
    /** Quantity of each further meter, by meter name. */
    readonly meters?: Readonly<Record<string, number>>;
  };
  readonly allowNegative: boolean;
  /** Why the gateway declares this request not billable, for example `internal`. */
  readonly skipReason?: string;
}

/** Either usage event. */
export type UsageEvent = UsagePending | UsageCompleted;
