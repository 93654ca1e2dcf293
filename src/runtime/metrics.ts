/**
 * Owns: the figures a process tells about itself: their names, labels and meaning, in a registry of its own.
 * Does not own: when something happened (the caller says so), nor serving them (metrics-endpoint.ts).
 * Invariants: nothing is counted per event: the figures of a chunk are added once, and what others count already is read
 * when somebody asks; a figure that cannot be read in time is left out, never told as it was before.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What became of the messages of one chunk; the fields of a sealed batch that count messages. */
export interface ChunkCounts {
  readonly charged: number;
  readonly duplicates: number;
  readonly superseded: number;
  readonly skipped: number;
  readonly unpriced: number;
  readonly deadLetters: number;
}

/** What a projector has done since its start. */
export interface ProjectionFigures {
  readonly projected: number;
  readonly failures: number;
  readonly ahead: number;
}

/** What a turn of the audit found. */
export interface AuditCounts {
  readonly tenants: number;
  /** Differences by what they are about. */
  readonly differences: ReadonlyMap<string, number>;
  /** Σ |difference| in currency units since the round began. */
  readonly amountOfRound: number;
  /** How long the oldest difference since the round began can have been there, in seconds; 0 without one. */
  readonly oldestOfRoundS: number;
  readonly repaired: number;
}

/** A value of a figure with labels. */
export interface LabelledValue<Label extends string> {
  readonly labels: Readonly<Record<Label, string | number>>;
  readonly value: number;
}

/** From 5 ms (a small chunk) to 10 s (a chunk that waited for locks), in seconds. */
const CHUNK_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** A scrape gives up after 10 s by default, and must not lose all figures because Kafka is away. */
const READ_DEADLINE_MS = 1_000;

/** The label of each count of a batch; the names of its columns. */
const OUTCOMES: Readonly<Record<keyof ChunkCounts, string>> = {
  charged: 'charged',
  duplicates: 'duplicates',
  superseded: 'superseded',
  skipped: 'skipped',
  unpriced: 'unpriced',
  deadLetters: 'dead_letters',
};

/** The figures of one process. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #messages: Counter;
  readonly #chunkSeconds: Histogram;
  readonly #processingFailed: Counter;
  readonly #leakedHolds: Counter;
  readonly #mendedKeys: Counter;
  readonly #auditTenants: Counter;
  readonly #auditDrift: Counter;
  readonly #auditAmount: Gauge;
  readonly #auditOldest: Gauge;
  readonly #auditRepaired: Counter;

  constructor() {
    const registers = [this.#registry];
    this.#messages = new Counter({
      name: 'tollbook_messages_total',
      help: 'Messages that passed in sealed batches, by what became of them.',
      labelNames: ['topic', 'outcome'],
      registers,
    });
    this.#chunkSeconds = new Histogram({
      name: 'tollbook_chunk_seconds',
      help: 'How long a chunk took from its first message decoded to its commit.',
      buckets: CHUNK_SECONDS,
      registers,
    });
    this.#processingFailed = new Counter({
      name: 'tollbook_processing_failed_total',
      help: 'Messages that could not be charged for an error that no retry mends, and were put aside: an alarm.',
      labelNames: ['topic'],
      registers,
    });
    this.#leakedHolds = new Counter({
      name: 'tollbook_leaked_holds_total',
      help: 'In-flight items that never reached the ledger and were swept after their time to live.',
      registers,
    });
    this.#mendedKeys = new Counter({
      name: 'tollbook_redis_tenants_mended_total',
      help: 'Tenants whose Redis keys held what no script of Tollbook writes, and were mended at once: an alarm.',
      registers,
    });
    this.#auditTenants = new Counter({
      name: 'tollbook_audit_tenants_total',
      help: 'Tenants whose quota hash and items in flight an audit held against the ledger.',
      registers,
    });
    this.#auditDrift = new Counter({
      name: 'tollbook_audit_drift_total',
      help: 'Differences between Redis and the ledger that audits found, by field: an alarm.',
      labelNames: ['field'],
      registers,
    });
    this.#auditAmount = new Gauge({
      name: 'tollbook_audit_drift_amount',
      help: 'Money that the differences found since the audit round began are about, in currency units, signs left out.',
      registers,
    });
    this.#auditOldest = new Gauge({
      name: 'tollbook_audit_drift_age_seconds',
      help: 'How long the oldest difference found since the audit round began can have been there; 0 without one.',
      registers,
    });
    this.#auditRepaired = new Counter({
      name: 'tollbook_audit_repaired_total',
      help: 'Tenants that an audit found different and set right.',
      registers,
    });
  }

  /** Adds tenants whose Redis keys were mended. */
  addMended(tenants: number): void {
    this.#mendedKeys.inc(tenants);
  }

  /** Adds one sealed chunk. Cost: one addition per outcome that occurred. */
  addChunk({ topic, counts, seconds }: { topic: string; counts: ChunkCounts; seconds: number }): void {
    this.#chunkSeconds.observe(seconds);
    for (const [field, outcome] of Object.entries(OUTCOMES) as [keyof ChunkCounts, string][]) {
      if (counts[field] > 0) this.#messages.inc({ topic, outcome }, counts[field]);
    }
  }

  /** Adds a message that was put aside because charging it throws. */
  addProcessingFailure(topic: string): void {
    this.#processingFailed.inc({ topic });
  }

  /** Adds what a sweep of the in-flight items found leaked. */
  addLeakedHolds(leaked: number): void {
    this.#leakedHolds.inc(leaked);
  }

  /** Adds what a turn of the audit found. */
  addAudit({ tenants, differences, amountOfRound, oldestOfRoundS, repaired }: AuditCounts): void {
    this.#auditTenants.inc(tenants);
    for (const [field, count] of differences) this.#auditDrift.inc({ field }, count);
    this.#auditAmount.set(amountOfRound);
    this.#auditOldest.set(oldestOfRoundS);
    this.#auditRepaired.inc(repaired);
  }

  /** Tells from now on how long ago an audit round over all tenants was complete, in seconds. */
  watchAuditAge(read: () => number): void {
    new Gauge({
      name: 'tollbook_audit_round_age_seconds',
      help: 'How long ago the last audit round over all tenants was complete; before the first, how long the process runs.',
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** Tells from now on what a projector has done. */
  watchProjections(read: () => ProjectionFigures): void {
    this.#watchCount('tollbook_projections_total', 'Quota hashes set to their ledger.', () => read().projected);
    this.#watchCount(
      'tollbook_projection_failures_total',
      'Runs of the projector that failed and were repeated.',
      () => read().failures,
    );
    this.#watchCount(
      'tollbook_hash_ahead_total',
      'Quota hashes found ahead of their ledger, as after restoring an older database: an alarm.',
      () => read().ahead,
    );
  }

  /** Tells a figure with labels from now on, read when somebody asks; left out while it cannot be read in time. */
  watchGauge<Label extends string>(
    { name, help, labelNames }: { name: string; help: string; labelNames: readonly Label[] },
    read: () => Promise<readonly LabelledValue<Label>[]>,
  ): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      async collect() {
        const values = await withinDeadline(read());
        this.reset();
        for (const { labels, value } of values) this.set(labels, value);
      },
    });
  }

  /** Tells from now on about the process itself: memory, CPU, event loop, garbage collection. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The figures as they are now, in the text format of Prometheus, with its content type. Never rejects. */
  async read(): Promise<{ readonly text: string; readonly contentType: string }> {
    return { text: await this.#registry.metrics(), contentType: this.#registry.contentType };
  }

  #watchCount(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }
}

/** The values, or none when they cannot be read in time. */
async function withinDeadline<T>(work: Promise<readonly T[]>): Promise<readonly T[]> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<readonly T[]>((resolve) => {
    timer = setTimeout(resolve, READ_DEADLINE_MS, []);
  });
  try {
    return await Promise.race([work.catch(() => []), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
