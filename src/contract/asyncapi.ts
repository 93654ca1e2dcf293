/**
 * Owns: the AsyncAPI 3.0 document of the two topics: addresses, message keys, who sends and who receives.
 * Does not own: the payload schemas, which it refers to by file name.
 */
import type { UsageKind } from './dto-kinds.js';
import { EXAMPLES } from './examples.js';
import { SCHEMA_VERSION } from './usage-identity-dto.js';

interface ChannelText {
  readonly name: string;
  readonly summary: string;
}

const TEXT: Readonly<Record<UsageKind, ChannelText>> = {
  pending: { name: 'UsagePending', summary: 'A request was admitted and may cost up to its estimate.' },
  completed: { name: 'UsageCompleted', summary: 'A request has ended and used exactly this much.' },
};

const KAFKA_BINDING_VERSION = '0.5.0';

const MESSAGE_KEY = {
  type: 'string',
  description:
    "The event's tenant_id, so that the events of one tenant on one topic stay in order; trace_id when there is no tenant.",
};

/** The name of the schema file of one kind, next to the AsyncAPI document. */
export function schemaFileName(kind: UsageKind): string {
  return `usage-${kind}.schema.json`;
}

function channel(kind: UsageKind): object {
  const { name, summary } = TEXT[kind];
  return {
    address: `usage.${kind}`,
    description: `${summary} The topic can be named otherwise by configuration.`,
    messages: { [name]: { $ref: `#/components/messages/${name}` } },
    bindings: { kafka: { topic: `usage.${kind}`, bindingVersion: KAFKA_BINDING_VERSION } },
  };
}

function operation(kind: UsageKind, action: 'send' | 'receive'): object {
  const actor = action === 'send' ? 'A gateway publishes the event.' : 'The ledger consumes the event.';
  return {
    action,
    channel: { $ref: `#/channels/usage.${kind}` },
    summary: actor,
    messages: [{ $ref: `#/channels/usage.${kind}/messages/${TEXT[kind].name}` }],
  };
}

function message(kind: UsageKind): object {
  const { name, summary } = TEXT[kind];
  return {
    name,
    title: `usage.${kind}`,
    summary,
    contentType: 'application/json',
    payload: {
      schemaFormat: 'application/schema+json;version=draft-07',
      schema: { $ref: `./${schemaFileName(kind)}` },
    },
    bindings: { kafka: { key: MESSAGE_KEY, bindingVersion: KAFKA_BINDING_VERSION } },
    examples: EXAMPLES[kind].map((payload, index) => ({ name: `${name}${index + 1}`, payload })),
  };
}

/** Generates the AsyncAPI 3.0 document of the contract. */
export function asyncApiDocument(): object {
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Tollbook usage events',
      version: `${SCHEMA_VERSION}.0.0`,
      description:
        'What an LLM gateway tells the billing ledger: one event when a request is admitted, one when it has ended. ' +
        'Delivery may repeat and the two topics may overtake each other; a trace is charged once all the same. ' +
        'Meters exclude each other: each token is in exactly one of them, so input_tokens and output_tokens count what no ' +
        'other meter counts. Ids that begin with a tilde are reserved for the ledger. ' +
        'Record batches may be compressed with gzip, snappy, lz4 or zstd, to at most 16 MiB when decompressed.',
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    channels: { 'usage.pending': channel('pending'), 'usage.completed': channel('completed') },
    operations: {
      publishUsagePending: operation('pending', 'send'),
      publishUsageCompleted: operation('completed', 'send'),
      consumeUsagePending: operation('pending', 'receive'),
      consumeUsageCompleted: operation('completed', 'receive'),
    },
    components: { messages: { UsagePending: message('pending'), UsageCompleted: message('completed') } },
  };
}
