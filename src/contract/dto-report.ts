/**
 * Owns: the report on an event that breaks the contract: every bad field, what was found, what is allowed.
 * Does not own: the fast verdict (schema-check.ts), with which it agrees (a property test compares the two).
 * Invariants: never throws; reads own keys only and descends only into declared sections, so neither `__proto__` nor
 * deep nesting does harm. class-validator's own whitelist is not used: it lets `__proto__` and `constructor` pass,
 * because it looks field names up in a plain object. class-transformer is not used: it drops just those keys.
 */
import { ValidationTypes, getMetadataStorage, validateSync } from 'class-validator';
import type { ValidationError } from 'class-validator';
import { ownValue } from '../runtime/name-map.js';
import { DTO_OF_KIND } from './dto-kinds.js';
import type { DtoClass, UsageKind } from './dto-kinds.js';
import { describeFound, isWireObject, shorten } from './found-value.js';
import type { WireObject } from './found-value.js';

const DETAIL_LENGTH_MAX = 1000;
const UNKNOWN_FIELDS_MAX = 8;

/** The declared fields of a DTO; a section carries the DTO it follows. */
type Fields = ReadonlyMap<string, DtoClass | undefined>;

const fieldsByClass = new Map<DtoClass, Fields>();

function fieldsOf(dto: DtoClass): Fields {
  const known = fieldsByClass.get(dto);
  if (known !== undefined) return known;
  const fields = new Map<string, DtoClass | undefined>();
  for (const rule of getMetadataStorage().getTargetValidationMetadatas(dto, '', true, false)) {
    const section = rule.type === ValidationTypes.NESTED_VALIDATION ? declaredClass(dto, rule.propertyName) : undefined;
    fields.set(rule.propertyName, section ?? fields.get(rule.propertyName));
  }
  fieldsByClass.set(dto, fields);
  return fields;
}

function declaredClass(dto: DtoClass, property: string): DtoClass {
  return Reflect.getMetadata('design:type', dto.prototype as object, property) as DtoClass;
}

/** Copies the declared fields into an instance that class-validator can check; the others become problems. */
function toDto(dto: DtoClass, wire: WireObject, path: string, problems: string[]): object {
  const fields = fieldsOf(dto);
  const instance = new dto();
  const unknown: string[] = [];
  for (const key of Object.keys(wire)) {
    const value = ownValue(wire, key);
    const section = fields.get(key);
    if (!fields.has(key)) unknown.push(key);
    else Reflect.set(instance, key, section && isWireObject(value) ? toDto(section, value, `${path}${key}.`, problems) : value);
  }
  if (unknown.length > 0) problems.push(unknownFields(unknown, { wire, path, fields }));
  return instance;
}

function unknownFields(keys: string[], at: { wire: WireObject; path: string; fields: Fields }): string {
  const named = keys.slice(0, UNKNOWN_FIELDS_MAX).map((key) => {
    return `${at.path}${describeFound(key).slice(1, -1)} (found ${describeFound(ownValue(at.wire, key))})`;
  });
  if (keys.length > named.length) named.push(`${keys.length - named.length} more`);
  return `${named.join(', ')}: not a field of the contract, allowed: ${[...at.fields.keys()].join(', ')}`;
}

function problemsOf(error: ValidationError, path: string): string[] {
  const name = `${path}${error.property}`;
  const nested = (error.children ?? []).flatMap((child) => problemsOf(child, `${name}.`));
  const [allowed] = Object.values(error.constraints ?? {});
  if (allowed === undefined) return nested;
  return [`${name}: found ${describeFound(error.value)}, allowed: ${allowed}`, ...nested];
}

/** Lists what class-validator and the closed field lists object to; an empty list means that the event is valid. */
export function contractProblems(kind: UsageKind, wire: WireObject): string[] {
  return dtoProblems(DTO_OF_KIND[kind], wire);
}

/** The same for an object of the wire that another DTO describes. */
export function dtoProblems(dto: DtoClass, wire: WireObject): string[] {
  const unknown: string[] = [];
  const instance = toDto(dto, wire, '', unknown);
  const errors = validateSync(instance, { forbidUnknownValues: true });
  return [...unknown, ...errors.flatMap((error) => problemsOf(error, ''))];
}

/** Joins problems into one text of at most 1,000 characters. */
export function joinProblems(problems: readonly string[]): string {
  return shorten(problems.join('; '), DETAIL_LENGTH_MAX);
}
