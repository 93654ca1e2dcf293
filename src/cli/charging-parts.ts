/**
 * Owns: what charging works with, made from the settings; the same for consuming and for a redrive.
 * Does not own: the connections it is given.
 */
import type { ChargePorts } from '../consumers/chunk-charge.js';
import type { IntakeLimits } from '../consumers/intake.js';
import { RedisQuotaGate } from '../consumers/quota-gate.js';
import type { AccountTerms } from '../ledger/account.js';
import { parseAmount } from '../ledger/money.js';
import type { QuotaScripts } from '../lua/quota-scripts.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import type { Config } from '../runtime/config.js';
import type { Logger } from '../runtime/logger.js';
import { readAllowedProducers } from './allowed-producers.js';

/** The ports of charging, and the bounds on what is accepted. Throws MONEY_MALFORMED, MONEY_OUT_OF_RANGE, FILE_UNREADABLE. */
export function chargingParts(
  config: Readonly<Config>,
  {
    scripts,
    logger,
    clock = systemClock,
  }: { readonly scripts: QuotaScripts; readonly logger: Logger; readonly clock?: Clock },
): ChargePorts & { readonly limits: IntakeLimits } {
  return {
    gate: new RedisQuotaGate({ scripts, deadlineMs: config.redisDeadlineMs, clock: systemClock, logger }),
    clock,
    ...chargingSettings(config),
  };
}

/** The part of them that is made of settings alone. Throws MONEY_MALFORMED, MONEY_OUT_OF_RANGE, FILE_UNREADABLE. */
export function chargingSettings(
  config: Readonly<Config>,
): Omit<ChargePorts, 'gate' | 'clock'> & { readonly limits: IntakeLimits } {
  return {
    limits: intakeLimits(config),
    bounds: {
      costMaxNano: config.eventCostMax === 'unlimited' ? undefined : parseAmount(config.eventCostMax),
      opensNoAccount: !config.autoOpenAccounts,
    },
    defaults: { currency: config.defaultCurrency, terms: defaultTerms(config) },
    holdTtlMs: { estimate: config.holdTtlMs, none: config.holdTtlNoneMs },
    estimates: {
      outputTokensDefault: config.estimateOutputTokensDefault,
      outputTokensMax: config.estimateOutputTokensMax ?? null,
    },
    priceBook: config.priceBook === '' ? undefined : config.priceBook,
  };
}

function intakeLimits(config: Readonly<Config>): IntakeLimits {
  const { eventBytesMax, eventAgeMaxMs, keyMustBeTenant, producersFile } = config;
  const allowedProducers = producersFile === '' ? undefined : readAllowedProducers(producersFile);
  return { eventBytesMax, eventAgeMaxMs, keyMustBeTenant, allowedProducers };
}

/** The terms of accounts that open by themselves. Throws MONEY_MALFORMED, MONEY_OUT_OF_RANGE. */
export function defaultTerms(config: Readonly<Config>): AccountTerms {
  return {
    creditLimitNano: parseAmount(config.defaultCreditLimit, 'TOLLBOOK_DEFAULT_CREDIT_LIMIT'),
    dailyQuota: config.defaultDailyQuota ?? null,
    monthlyQuota: config.defaultMonthlyQuota ?? null,
    holdPolicy: config.defaultHoldPolicy,
  };
}
