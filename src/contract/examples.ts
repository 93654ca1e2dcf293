/**
 * Owns: the example events of the published contract.
 * Invariants: a contract test validates each of them; together they show every field and the smallest allowed form.
 */
import type { UsageKind } from './dto-kinds.js';
import type { UsageCompletedDto } from './usage-completed-dto.js';
import type { UsagePendingDto } from './usage-pending-dto.js';

const PRICING = { input_per_1k: '0.003', output_per_1k: '0.015', currency: 'USD', price_version: 'list-2026-03' };

const PENDING: UsagePendingDto = {
  schema_version: 1,
  event_id: '0b9f7c4e-1f1c-4d55-9f0a-6f6f2f3f8c11',
  trace_id: 'trace-81f3',
  tenant_id: 'tenant-42',
  api_key_id: 'key-7',
  occurred_at: '2026-03-31T09:30:00.250Z',
  provider: 'anthropic',
  model: 'claude-sonnet-4',
  preset_item_id: 'preset-3',
  price_class: 'priority',
  user_id: 'auth0|9f2c',
  project_id: 'project-1',
  tags: { team: 'search', cost_center: '4711' },
  stream: true,
  estimate: { input_tokens: 1200, max_output_tokens: 1024, meters: { web_search_requests: 2 } },
  pricing: { ...PRICING, meters: { web_search_requests: '10' } },
  producer: { instance: 'gateway-7c9f', epoch: 1774949400000, seq: 41 },
};

const PENDING_SMALLEST: UsagePendingDto = {
  schema_version: 1,
  event_id: 'event-2',
  trace_id: 'trace-2',
  occurred_at: '2026-03-31T11:30:00+02:00',
  provider: 'openai',
  model: 'gpt-4o-mini',
  stream: false,
  estimate: {},
};

const COMPLETED: UsageCompletedDto = {
  schema_version: 1,
  event_id: '5d2f6a0e-8a7b-4b0e-a1f5-0f9f8f5a9e77',
  trace_id: 'trace-81f3',
  tenant_id: 'tenant-42',
  api_key_id: 'key-7',
  occurred_at: '2026-03-31T09:30:07.901Z',
  provider: 'anthropic',
  model: 'claude-sonnet-4',
  preset_item_id: 'preset-3',
  price_class: 'priority',
  user_id: 'auth0|9f2c',
  project_id: 'project-1',
  tags: { team: 'search', cost_center: '4711' },
  stream: true,
  outcome: 'succeeded',
  usage: {
    input_tokens: 1187,
    output_tokens: 402,
    meters: { cached_input_tokens: 960 },
    declared: { input_tokens: 2147, output_tokens: 402 },
  },
  pricing: { ...PRICING, meters: { cached_input_tokens: '0.0003' } },
  allow_negative: true,
  producer: { instance: 'gateway-7c9f', epoch: 1774949400000, seq: 42 },
};

const COMPLETED_NOT_BILLABLE: UsageCompletedDto = {
  schema_version: 1,
  event_id: 'event-3',
  trace_id: 'trace-3',
  occurred_at: '2026-03-31T09:31:00Z',
  provider: 'openai',
  model: 'gpt-4o-mini',
  stream: false,
  outcome: 'cancelled',
  usage: { input_tokens: 0, output_tokens: 0 },
  skip_reason: 'internal',
};

/** Example events of each kind: first one with every usual field, then a small one. */
export const EXAMPLES: Readonly<Record<UsageKind, readonly object[]>> = {
  pending: [PENDING, PENDING_SMALLEST],
  completed: [COMPLETED, COMPLETED_NOT_BILLABLE],
};
