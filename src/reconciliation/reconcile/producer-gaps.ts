/**
 * Owns: when a hole in a producer's numbers is a loss: only where everything that was published since some moment is
 * among the ranges, and only once what has been published meanwhile was looked at too.
 * Does not own: which numbers there are (producer-numbers.ts).
 * Invariants: no false alarm: of a topic whose start has expired, numbers count from the moment on from which every
 * partition still has everything; only numbers below one that was published long enough ago can be missing, for a
 * gateway may have others on their way; what arrives while the run reads fills holes before they are told. What operators accepted as lost is counted, not found.
 */
import type pg from 'pg';
import { intake, type IntakeItem } from '../../consumers/intake.js';
import type { EventProducer } from '../../ledger/events.js';
import { type ProducerGap, readProducerGaps } from '../../ledger/postgres/producer-gaps.js';
import { translatePostgresError } from '../../runtime/postgres.js';
import type { TopicMessage } from '../topic/partition-reader.js';
import { fetchBytesFor, type TopicReader } from '../topic/topic-reader.js';
import { producerGap } from './findings.js';
import { isWhole, type RangeRequest } from './frozen-ranges.js';
import { producerName, type ProducerNumbers } from './producer-numbers.js';
import { noteFinding, type RangeState, type RunState } from './run-state.js';

/** What was not judged: producers with scattered numbers, and messages of producers beyond the number that is kept. */
export interface LeftOut {
  readonly scattered: number;
  readonly messages: number;
}

/** Whether the numbers of the producers were judged, and why not. */
export type ProducerVerdict =
  /** Judged are the numbers below the last that each producer published before `until` (ISO 8601 UTC). */
  | {
      readonly judged: true;
      readonly gaps: number;
      /** Missing numbers that operators have accepted as lost. */
      readonly accepted: number;
      readonly until: string;
      readonly leftOut: LeftOut;
    }
  | { readonly judged: false; readonly why: string };

/** From when on numbers count, and before when; null: never, and `why` not. */
export interface NumberBounds {
  readonly fromMs: number | null;
  readonly untilMs: number;
  /** True: the logs are whole, so that every producer must have started with number 0. */
  readonly fromZero: boolean;
  readonly why: string;
}

/** What of the numbers was left out, as the end of a line; empty when nothing was. */
export function leftOutWords({ scattered, messages }: LeftOut): string {
  if (scattered === 0 && messages === 0) return '';
  return `; left out: ${scattered} producers with scattered numbers, ${messages} messages of producers beyond the number kept`;
}

type Ports = { readonly pool: pg.Pool; readonly reader: TopicReader };

const WHOLE_TOPICS = 'only a run over all partitions of both topics, up to their end, can tell';
const TAIL_MESSAGES_MAX = 500_000;
/** How long an event may be on its way to Kafka: publishers try again for about as long. */
const ON_THE_WAY_MAX_MS = 60_000;

/** Finds out from when on every published event must be in the ranges. Throws KAFKA_UNAVAILABLE, POSTGRES_*. */
export async function numberBounds(
  { pool, reader }: Ports,
  state: RunState,
  { request, coversAllTopics }: { readonly request: RangeRequest; readonly coversAllTopics: boolean },
): Promise<NumberBounds> {
  const untilMs = Date.parse(state.startedAt) - ON_THE_WAY_MAX_MS;
  const later = { untilMs, fromZero: false, why: '' };
  if (!coversAllTopics || !isWhole(request)) return { ...later, fromMs: null, why: WHOLE_TOPICS };
  if (request.sinceMs !== undefined) return { ...later, fromMs: request.sinceMs };
  const truncated = state.ranges.filter(({ range }) => range.logStart > 0n);
  if (truncated.length === 0) return { ...later, fromMs: 0, fromZero: true };
  const starts = await Promise.all(truncated.map((range) => firstTimeOf({ pool, reader }, range)));
  return { ...later, fromMs: Math.max(...starts) };
}

/** The time of the first message left; of a log that is empty, when the ledger last charged something of it. */
async function firstTimeOf({ pool, reader }: Ports, { range }: RangeState): Promise<number> {
  const first = await reader.partition(range.source, { from: range.logStart, bytesMax: fetchBytesFor(1) }).peek();
  if (first !== undefined) return first.timestampMs;
  const { topic, partition } = range.source;
  try {
    const { rows } = await pool.query<{ sealed_at: Date }>(
      'SELECT sealed_at FROM ledger_batches WHERE topic = $1 AND partition = $2 ORDER BY batch_no DESC LIMIT 1',
      [topic, partition],
    );
    return rows[0]?.sealed_at.getTime() ?? Number.POSITIVE_INFINITY;
  } catch (error) {
    throw translatePostgresError(error);
  }
}

/** Notes the number of a message, if it names one. */
export function noteNumber(
  numbers: ProducerNumbers,
  { fromMs, untilMs }: NumberBounds,
  { message, item }: { readonly message: TopicMessage; readonly item: IntakeItem },
): void {
  if (fromMs === null) return;
  const producer = item.kind === 'deadLetter' ? producerIn(message.value) : item.event.producer;
  const counts = message.timestampMs >= fromMs && message.timestampMs < untilMs;
  if (producer !== undefined) numbers.note(producer, counts);
}

/** The producer that a message names which is no event: its number was used all the same. */
function producerIn(value: Buffer | null): EventProducer | undefined {
  try {
    const { producer } = JSON.parse(String(value)) as { producer?: Partial<EventProducer> };
    const { instance, epoch, seq } = producer ?? {};
    const isCount = (count: unknown): count is number => Number.isSafeInteger(count) && Number(count) >= 0;
    return typeof instance === 'string' && isCount(epoch) && isCount(seq) ? { instance, epoch, seq } : undefined;
  } catch {
    return undefined;
  }
}

/** Reads on where the comparison ended, tells what is still missing then, and notes it. Throws KAFKA_UNAVAILABLE. */
export async function judgeNumbers(
  ports: Ports,
  state: RunState,
  { numbers, bounds }: { readonly numbers: ProducerNumbers; readonly bounds: NumberBounds },
): Promise<ProducerVerdict> {
  if (bounds.fromMs === null) return { judged: false, why: bounds.why };
  const tail = new Tail(ports.reader, state, { numbers, bounds });
  // Twice: what is published while the first end is reached may fill a hole that it left.
  for (let look = 0; look < 2; look += 1) {
    if (numbers.gaps(bounds.fromZero).next().done === true && look > 0) break;
    if (!(await tail.readOn()))
      return { judged: false, why: `more than ${TAIL_MESSAGES_MAX} messages are not charged yet` };
  }
  const acceptedOf = acceptedByProducer(await readProducerGaps(ports.pool));
  let [gaps, accepted] = [0, 0];
  for (const gap of numbers.gaps(bounds.fromZero)) {
    accepted += gap.to - gap.from + 1;
    for (const open of withoutAccepted(gap, acceptedOf.get(gap.producer) ?? [])) {
      gaps += 1;
      accepted -= open.to - open.from + 1;
      noteFinding(state, producerGap(gap.producer, open));
    }
  }
  const leftOut = { scattered: numbers.scattered, messages: numbers.turnedAway };
  return { judged: true, gaps, accepted, until: new Date(bounds.untilMs).toISOString(), leftOut };
}

interface NumberRange {
  readonly from: number;
  readonly to: number;
}

function acceptedByProducer(gaps: readonly ProducerGap[]): Map<string, NumberRange[]> {
  const ranges = new Map<string, NumberRange[]>();
  for (const { instance, epoch, from, to } of gaps) {
    const producer = producerName(instance, epoch);
    ranges.set(producer, [...(ranges.get(producer) ?? []), { from, to }]);
  }
  return ranges;
}

/** What is left of a gap without the ranges that were accepted, which ascend. */
function withoutAccepted(gap: NumberRange, accepted: readonly NumberRange[]): NumberRange[] {
  const left: NumberRange[] = [];
  let next = gap.from;
  for (const { from, to } of accepted) {
    if (to < next || from > gap.to) continue;
    if (from > next) left.push({ from: next, to: from - 1 });
    next = to + 1;
  }
  if (next <= gap.to) left.push({ from: next, to: gap.to });
  return left;
}

/** Reads what lies behind the compared ranges, up to wherever the logs end by then. */
class Tail {
  readonly #reader: TopicReader;
  readonly #sources: { readonly range: RangeState; position: bigint }[];
  readonly #note: (message: TopicMessage, range: RangeState) => void;
  #messages = 0;

  constructor(
    reader: TopicReader,
    state: RunState,
    { numbers, bounds }: { readonly numbers: ProducerNumbers; readonly bounds: NumberBounds },
  ) {
    this.#reader = reader;
    this.#sources = state.ranges.map((range) => ({ range, position: range.position }));
    this.#note = (message, { range }) => {
      const item = intake(message, range.kind, NO_LIMITS);
      noteNumber(numbers, bounds, { message, item });
    };
  }

  /** False when there is more than can be read for this. */
  async readOn(): Promise<boolean> {
    for (const source of this.#sources) {
      const { topic, partition } = source.range.range.source;
      const end = (await this.#reader.bounds(topic)).find((each) => each.source.partition === partition)?.end;
      if (end === undefined || !(await this.#readTo(source, end))) return false;
    }
    return true;
  }

  async #readTo(source: { readonly range: RangeState; position: bigint }, end: bigint): Promise<boolean> {
    const start = { from: source.position, bytesMax: fetchBytesFor(1) };
    const reader = this.#reader.partition(source.range.range.source, start);
    while (source.position < end) {
      const until = source.position + TAIL_STEP < end ? source.position + TAIL_STEP : end;
      const { messages, position } = await reader.take(until);
      for (const message of messages) this.#note(message, source.range);
      this.#messages += messages.length;
      if (this.#messages > TAIL_MESSAGES_MAX) return false;
      if (position < until) return true;
      source.position = position;
    }
    return true;
  }
}

const TAIL_STEP = 4_096n;
const NO_LIMITS = {
  eventBytesMax: Number.MAX_SAFE_INTEGER,
  eventAgeMaxMs: Number.POSITIVE_INFINITY,
  nowMs: 8_640_000_000_000_000,
};
