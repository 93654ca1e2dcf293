/** Owns: the public entry point `tollbook/gateway`: what a gateway embeds. */
export { createUsagePublisher } from './create-usage-publisher.js';
export type { UsagePublisherOptions } from './create-usage-publisher.js';
export type { PublisherTopics, PublisherTuning } from './publisher-settings.js';
export type { CompletedInput, PendingInput, UsageInput } from './usage-input.js';
export type { PublishAck, PublisherStats, UsagePublisher } from './usage-publisher.js';
export { TollbookError, isTollbookError } from '../runtime/errors.js';
export type { ErrorCode } from '../runtime/errors.js';
export { METERS } from '../ledger/meters.js';
export type { MeterName } from '../ledger/meters.js';
export { usageFrom, usageFromStream } from './usage/usage-from.js';
export { PRICE_CLASSES } from './usage/usage-reading.js';
export type { DeclaredTotals, ExclusiveUsage, UsageOptions, UsageReader, UsageReading } from './usage/usage-reading.js';
