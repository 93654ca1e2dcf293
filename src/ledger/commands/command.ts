/**
 * Owns: the commands an operator can give, as a union by `kind`.
 * Does not own: what is allowed in their fields (command-check.ts), their canonical form (command-content.ts), nor what
 * they do (decide-command.ts).
 */
import type { AccountTerms } from '../account.js';
import type { AmountNano } from '../money.js';

/** What every command carries. */
export interface CommandIdentity {
  readonly tenantId: string;
  /** Names the command for ever within its tenant; sending it again with the same key is safe. */
  readonly key: string;
  readonly actor: string;
  readonly reason: string;
}

/** Opens the account of a tenant that has none; terms that are left out are the configured defaults. */
export interface OpenAccountCommand extends CommandIdentity {
  readonly kind: 'open-account';
  /** Default: the configured currency. */
  readonly currency?: string;
  readonly terms: Partial<AccountTerms>;
}

/** Puts money into an account; opens the account if there is none. */
export interface CreditCommand extends CommandIdentity {
  readonly kind: 'credit';
  /** Positive, in nano-units. */
  readonly amountNano: AmountNano;
  /** Default: that of the account; for a new account, the configured one. */
  readonly currency?: string;
}

/** Corrects a balance by a signed amount, which may take it below zero. */
export interface AdjustCommand extends CommandIdentity {
  readonly kind: 'adjust';
  /** Not zero, in nano-units. */
  readonly amountNano: AmountNano;
  readonly currency?: string;
}

/** Puts back what a charge took, in whole or in part. */
export interface RefundCommand extends CommandIdentity {
  readonly kind: 'refund';
  /** The charge: by its trace, or by the seq of its entry. */
  readonly of: { readonly traceId: string } | { readonly seq: number };
  /** Positive, in nano-units; default: all that is left of the charge. */
  readonly amountNano?: AmountNano;
  readonly currency?: string;
}

/** Changes the terms that are given; the others stay. */
export interface LimitsCommand extends CommandIdentity {
  readonly kind: 'limits';
  readonly terms: Partial<AccountTerms>;
  /** The currency the credit limit is meant in. */
  readonly currency?: string;
}

/** Charges a FAILED trace now. */
export interface CollectCommand extends CommandIdentity {
  readonly kind: 'collect';
  readonly traceId: string;
  /** True: charge it even when the balance does not cover it. */
  readonly allowNegative: boolean;
}

/** Ends an open hold without a charge. */
export interface VoidCommand extends CommandIdentity {
  readonly kind: 'void';
  readonly traceId: string;
}

/** Prices per 1,000 units, as plain decimal strings; those of further meters by meter name. */
export interface GivenPrices {
  readonly inputPer1k?: string;
  readonly outputPer1k?: string;
  readonly meters: Readonly<Record<string, string>>;
}

/** Charges a completion that is parked as unpriced. */
export interface PriceCommand extends CommandIdentity {
  readonly kind: 'price';
  readonly traceId: string;
  /** The prices that the event lacks, or the price book that has them all. */
  readonly prices: GivenPrices | { readonly book: string };
  /** True: charge it even when the balance does not cover it. */
  readonly allowNegative: boolean;
  /** The currency that given prices are meant in. */
  readonly currency?: string;
}

/** Any command. */
export type LedgerCommand =
  | OpenAccountCommand
  | CreditCommand
  | AdjustCommand
  | RefundCommand
  | LimitsCommand
  | CollectCommand
  | VoidCommand
  | PriceCommand;

/** One word for what a command wants. */
export type CommandKind = LedgerCommand['kind'];

/** The trace id of an entry that a command makes and that belongs to no request: no usage event can have it. */
export function commandTraceId(key: string): string {
  return `~${key}`;
}
