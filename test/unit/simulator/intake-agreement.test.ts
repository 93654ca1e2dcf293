/** Owns: that the consumer's first look at every planned message says what the plan expects of it. */
import { expect } from 'chai';
import { intake, type IntakeItem } from '../../../src/consumers/intake.js';
import type { DeadLetterReason } from '../../../src/ledger/dead-letter.js';
import type { PlannedMessage } from '../../../src/simulator/message-writer.js';
import { createPlan, type SimulationPlan } from '../../../src/simulator/plan.js';
import { readPriceMap } from '../../../src/simulator/price-map.js';
import { exampleFiles } from '../../../src/simulator/simulate.js';
import { END_AT_MS, TRACE, wildOptions } from './simulation-inputs.js';

/** Reasons that only the ledger can find: at first sight these messages are billable. */
const FOUND_LATER: readonly DeadLetterReason[] = [
  'UNKNOWN_TENANT',
  'CURRENCY_MISMATCH',
  'COST_TOO_LARGE',
  'AMOUNT_OUT_OF_RANGE',
  'CONFLICTING_DUPLICATE',
  'PROCESSING_FAILED',
];
const BOUNDS = { eventBytesMax: 256 * 1024, eventAgeMaxMs: 45 * 24 * 3_600_000, nowMs: END_AT_MS };

function lookAt({ role, key, value }: PlannedMessage): IntakeItem {
  return intake({ kafkaOffset: 0n, key: Buffer.from(key), value, headers: {} }, role, BOUNDS);
}

describe('planned messages at the intake of the consumer', () => {
  let plan: SimulationPlan;
  let messages: readonly PlannedMessage[];

  before(async () => {
    const prices = await readPriceMap(exampleFiles().pricesFile);
    plan = createPlan(wildOptions({ reorder: 'none', poisonLarge: 1 }), { trace: TRACE, prices });
    messages = [...plan.messages()];
  });

  it('are dead letters of the reason the plan names, each kind of malformed message', () => {
    for (const message of messages) {
      if (message.poison === undefined) continue;
      const { kind, reason } = message.poison;
      const item = lookAt(message);
      const found = item.kind === 'deadLetter' ? item.letter.reason : item.kind;
      expect(found, kind).to.equal(FOUND_LATER.includes(reason) ? 'billable' : reason);
    }
  });

  it('are billable or skipped, as often as the plan says, when they are well-formed', () => {
    const items = messages.filter(({ form }) => form !== 'poison').map(lookAt);
    const refused = items.flatMap((item) => (item.kind === 'deadLetter' ? [item.letter.detail] : []));
    expect(refused).to.deep.equal([]);
    const skipped = items.filter(({ kind }) => kind === 'skipped' || kind === 'unquoted').length;
    expect(skipped).to.equal(plan.expectation.expected.skipped.messages);
  });
});
