/** Owns: the two kinds of usage event, and the DTO that describes each on the wire. */
import { UsageCompletedDto } from './usage-completed-dto.js';
import { UsagePendingDto } from './usage-pending-dto.js';

/** Which of the two usage events a message claims to be; the topic decides, not the message. */
export type UsageKind = 'pending' | 'completed';

/** The kinds of usage event, in the order of a request's life. */
export const USAGE_KINDS: readonly UsageKind[] = ['pending', 'completed'];

/** A class whose decorators describe an object of the wire. */
export type DtoClass = new () => object;

/** The DTO of each kind. */
export const DTO_OF_KIND = { pending: UsagePendingDto, completed: UsageCompletedDto } as const satisfies Record<
  UsageKind,
  DtoClass
>;
