/**
 * Owns: the names that whoever imports a price list declares beside those of the list: aliases of models, and providers whose
 * dated names are priced like the undated one.
 * Does not own: how a name is found (ledger/price-book.ts).
 * Invariants: nothing is guessed. An alias stands for a name of the list, of the same provider; one that would change what a
 * name of the list means, that leads to another declared alias or to nothing is refused, and all of them are named together.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { LABEL_PATTERN } from '../contract/field-rules.js';
import { repeatedKey } from '../contract/repeated-key.js';
import { modelKey, type ModelPrices } from '../ledger/price-book.js';
import { TollbookError } from '../runtime/errors.js';
import type { PriceMap } from './price-map-reader.js';

/** What is declared for one provider: `{ "aliases": { ALIAS: MODEL }, "date_suffix": true }`. */
interface DeclaredProvider {
  readonly provider: string;
  readonly aliases: readonly (readonly [alias: string, model: string])[];
  readonly isDated: boolean;
}

/** Names as a file declares them. */
export interface DeclaredNames {
  readonly digest: Buffer;
  readonly providers: readonly DeclaredProvider[];
}

const ALLOWED = 'PROVIDER → { "aliases": { ALIAS: MODEL }, "date_suffix": true or false }';

/** Reads a file of declared names. Throws FILE_UNREADABLE, which names the part and what is allowed. */
export async function readDeclaredNames(path: string): Promise<DeclaredNames> {
  try {
    return parseDeclaredNames(await readFile(path));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TollbookError('FILE_UNREADABLE', `aliases ${path}: ${why}`, { cause, context: { path } });
  }
}

/** Reads the bytes of declared names. Throws FILE_UNREADABLE. */
export function parseDeclaredNames(bytes: Buffer): DeclaredNames {
  const text = bytes.toString('utf8');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw unreadable(`not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw unreadable(`${JSON.stringify(repeated)} stands twice, allowed: each name once`);
  const providers = entriesOf(document, 'the file').map(([provider, declared]) => readProvider(provider, declared));
  return { digest: createHash('sha256').update(bytes).digest(), providers };
}

function readProvider(provider: string, declared: unknown): DeclaredProvider {
  let [aliases, isDated]: [DeclaredProvider['aliases'], boolean] = [[], false];
  for (const [field, value] of entriesOf(declared, provider)) {
    if (field === 'aliases') {
      aliases = entriesOf(value, `${provider}.aliases`).map(([alias, model]) => {
        if (typeof model === 'string' && LABEL_PATTERN.test(alias)) return [alias, model];
        throw unreadable(`${provider}.aliases: found ${JSON.stringify({ [alias]: model })}, allowed: ALIAS: MODEL`);
      });
    } else if (field === 'date_suffix' && typeof value === 'boolean') isDated = value;
    else throw unreadable(`${provider}: found ${field}: ${JSON.stringify(value)}, allowed: ${ALLOWED}`);
  }
  return { provider, aliases, isDated };
}

function entriesOf(value: unknown, where: string): [string, unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.entries(value);
  throw unreadable(`${where}: found ${JSON.stringify(value)}, allowed: ${ALLOWED}`);
}

/** A price map with declared names. */
export type NamedPriceMap = PriceMap & { readonly datedProviders: readonly string[] };

/**
 * Adds declared names to a price map. The digest is that of both files, so that other names make another version.
 * Throws USAGE_INVALID, which names every alias that cannot be and why.
 */
export function withDeclaredNames(map: PriceMap, names: DeclaredNames): NamedPriceMap {
  const known = new Map(map.prices.map((prices) => [modelKey(prices), prices]));
  const problems: string[] = [];
  const added: ModelPrices[] = [];
  for (const { provider, aliases } of names.providers) {
    const declared = new Set(aliases.map(([alias]) => alias));
    for (const [alias, model] of aliases) {
      const meant = known.get(modelKey({ provider, model }));
      const isTaken = known.has(modelKey({ provider, model: alias }));
      if (isTaken) problems.push(`${provider} ${alias}: the price list has a model of that name`);
      else if (declared.has(model)) problems.push(`${provider} ${alias}: ${model} is an alias itself`);
      else if (meant === undefined) problems.push(`${provider} ${alias}: the price list has no ${model}`);
      else added.push({ provider, model: alias, rows: meant.rows, aliasOf: meant.aliasOf ?? meant.model });
    }
  }
  const providers = new Set(map.prices.map(({ provider }) => provider));
  for (const { provider } of names.providers) {
    if (!providers.has(provider)) problems.push(`${provider}: the price list has no model of that provider`);
  }
  if (problems.length > 0) {
    throw new TollbookError(
      'USAGE_INVALID',
      `${problems.join('; ')}; allowed: aliases of models of the price list, under names that it does not have`,
    );
  }
  const datedProviders = names.providers.filter(({ isDated }) => isDated).map(({ provider }) => provider);
  const digest = createHash('sha256').update(map.digest).update(names.digest).digest();
  return { ...map, digest, prices: [...map.prices, ...added], datedProviders };
}

function unreadable(message: string): TollbookError {
  return new TollbookError('FILE_UNREADABLE', message);
}
