/**
 * Owns: reading the file that lists which producer instances may publish for a tenant.
 * Does not own: what becomes of an event of another (consumers/event-bounds.ts).
 */
import { readFileSync } from 'node:fs';
import type { AllowedProducers } from '../consumers/event-bounds.js';
import { repeatedKey } from '../contract/repeated-key.js';
import { TollbookError } from '../runtime/errors.js';

const FORM = 'a JSON object of lists of instances by tenant, such as {"acme":["gateway-1","gateway-2"]}';

/** Reads TOLLBOOK_PRODUCERS_FILE. Throws FILE_UNREADABLE. */
export function readAllowedProducers(path: string): AllowedProducers {
  const text = readText(path);
  const parsed = parse(path, text);
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw malformed(path, `the tenant ${repeated} is listed twice`);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw malformed(path, 'it is no object');
  const entries = Object.entries(parsed).map(([tenantId, instances]: [string, unknown]) => {
    if (!isTexts(instances)) throw malformed(path, `the instances of ${tenantId} are no list of names`);
    return [tenantId, new Set(instances)] as const;
  });
  return new Map(entries);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw malformed(path, error instanceof Error ? error.message : String(error));
  }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(path, error instanceof Error ? error.message : String(error));
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

function malformed(path: string, found: string): TollbookError {
  return new TollbookError('FILE_UNREADABLE', `TOLLBOOK_PRODUCERS_FILE ${path}: ${found}; allowed: ${FORM}`, {
    context: { path },
  });
}
