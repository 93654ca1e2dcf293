/**
 * Owns: repairing on the command line what a reconciliation found missing: the plan, the connections, and what is told.
 * Does not own: the repair (src/reconciliation/repair).
 */
import { letterName } from '../ledger/dead-letter.js';
import { formatAmount } from '../ledger/money.js';
import { assertPriceBook } from '../ledger/postgres/price-books.js';
import { QuotaScripts } from '../lua/quota-scripts.js';
import type { ReconcileResult } from '../reconciliation/reconcile/reconcile.js';
import type { MessageRepair } from '../reconciliation/repair/repair-attempt.js';
import { PostgresRepairStore, type RepairOutcome, type RepairSigner } from '../reconciliation/repair/repair-store.js';
import { type LostPosition, repairMessages } from '../reconciliation/repair/repair.js';
import { isTollbookError } from '../runtime/errors.js';
import { createLogger } from '../runtime/logger.js';
import { waitForRedis } from '../runtime/redis.js';
import { clockBeside } from '../runtime/postgres-time.js';
import { chargingParts } from './charging-parts.js';
import { openRedis } from './ledger-process.js';
import { startProgress } from './progress.js';
import type { ReconcileWorld } from './reconcile-world.js';

/** One message of a repair, as it is told. */
interface ToldRepair {
  readonly position: string;
  readonly result: MessageRepair['kind'];
  readonly outcome?: RepairOutcome;
  readonly entry?: {
    readonly tenantId: string;
    readonly seq: number;
    readonly status: string;
    readonly amount: string;
    readonly currency: string;
  };
}

/** What a repair did, or would do. */
export interface RepairDocument {
  readonly dryRun: boolean;
  readonly actor: string;
  readonly reason: string;
  readonly messages: number;
  readonly outcomes: Readonly<Partial<Record<RepairOutcome, number>>>;
  readonly repairedBefore: number;
  readonly expired: number;
  /** Of tenants whose rows were removed: sent again, they could be charged twice. */
  readonly refused: number;
  /** More were missing than one run can keep: run it again. */
  readonly leftForNextRun: number;
  readonly told: readonly ToldRepair[];
  readonly toldLeftOff: number;
}

/** Messages told one by one; the others are counted. */
const TOLD_MAX = 1_000;
const REDIS_WAIT_MS = 2_000;

/** How a repair is to go. */
export interface RepairRun {
  readonly signer: RepairSigner;
  readonly isDryRun: boolean;
  readonly silent: boolean;
}

/** Repairs what is missing, or tells what that would come to. Throws PRICE_BOOK_UNKNOWN, KAFKA_UNAVAILABLE, POSTGRES_*. */
export async function repairMissing(
  { config, pool, ports: { reader } }: ReconcileWorld,
  { state }: ReconcileResult,
  { signer, isDryRun, silent }: RepairRun,
): Promise<RepairDocument> {
  if (config.priceBook !== '') await assertPriceBook(pool, config.priceBook, 'TOLLBOOK_PRICE_BOOK');
  const positions = positionsOf(state);
  const logger = createLogger({ level: 'warn', name: 'tollbook', pretty: true });
  const redis = openRedis(config, logger);
  const scripts = new QuotaScripts(redis, { prefix: config.redisPrefix, callSpan: config.redisCallSpan });
  const clock = clockBeside(pool, config.clockSkewMaxMs);
  const ports = { ...chargingParts(config, { scripts, logger, clock }), store: new PostgresRepairStore(pool), reader };
  const progress = startProgress({ label: 'repairing', total: positions.length, unit: 'messages', silent });
  try {
    await clock.check();
    if (!isDryRun) await giveRedisTime(redis);
    const results = await repairMessages(ports, {
      ...{ positions, signer, isDryRun },
      onProgress: (done) => progress.set(done),
    });
    return documentOf(results, { signer, isDryRun, leftForNextRun: state.repairableLeftOff });
  } finally {
    progress.stop();
    redis.disconnect();
  }
}

function positionsOf({ repairable, ranges }: ReconcileResult['state']): LostPosition[] {
  return repairable.flatMap(({ range, kafkaOffset, sealedAt }) => {
    const found = ranges[range];
    return found === undefined ? [] : [{ ...found.range.source, kafkaOffset, kind: found.range.kind, sealedAt }];
  });
}

/** Without Redis the locked accounts decide, as in consuming: no reason to refuse a repair. */
async function giveRedisTime(redis: Parameters<typeof waitForRedis>[0]): Promise<void> {
  try {
    await waitForRedis(redis, REDIS_WAIT_MS);
  } catch (error) {
    if (!isTollbookError(error, 'REDIS_UNAVAILABLE')) throw error;
    process.stderr.write('Redis does not answer: PostgreSQL decides\n');
  }
}

function documentOf(
  results: readonly MessageRepair[],
  { signer, isDryRun, leftForNextRun }: Omit<RepairRun, 'silent'> & { readonly leftForNextRun: number },
): RepairDocument {
  const outcomes: Partial<Record<RepairOutcome, number>> = {};
  for (const result of results) {
    if (result.kind === 'repaired') outcomes[result.outcome] = (outcomes[result.outcome] ?? 0) + 1;
  }
  const told = results.slice(0, TOLD_MAX).map(toldRepair);
  return {
    ...{ dryRun: isDryRun, actor: signer.actor, reason: signer.reason, messages: results.length, outcomes },
    repairedBefore: results.filter(({ kind }) => kind === 'repairedBefore').length,
    expired: results.filter(({ kind }) => kind === 'expired').length,
    refused: results.filter(({ kind }) => kind === 'refused').length,
    ...{ leftForNextRun, told, toldLeftOff: results.length - told.length },
  };
}

function toldRepair(repair: MessageRepair): ToldRepair {
  const position = letterName(repair.position);
  if (repair.kind !== 'repaired') return { position, result: repair.kind };
  const { outcome, entry } = repair;
  if (entry === undefined) return { position, result: 'repaired', outcome };
  const { tenantId, seq, status, currency } = entry;
  const amount = formatAmount(entry.amountNano);
  return { position, result: 'repaired', outcome, entry: { tenantId, seq, status, amount, currency } };
}
