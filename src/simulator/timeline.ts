/**
 * Owns: when each simulated request starts and ends: the trace repeated as often as needed, squeezed when it is long, and
 * moved so that it is over at a given moment.
 * Does not own: in which order messages reach Kafka (arrival-order.ts).
 * Invariants: times are whole milliseconds from the start of the simulation, never above `spanMs`; a request never ends
 * before it starts; the span is at most 23 hours, so that with the end near now no event is older than a day.
 */
import type { Trace, TraceRequest } from './trace-file.js';

/** The times of a simulation, in milliseconds since its start. */
export interface Timeline {
  readonly spanMs: number;
  /** Returns the row of the trace that a request (from 0) replays. */
  rowOf(request: number): TraceRequest;
  startOf(request: number): number;
  endOf(request: number): number;
}

const SPAN_MS_MAX = 23 * 3_600_000;
/** A plausible service: a fifth of a second to the first token, then 80 tokens a second. */
const FIRST_TOKEN_MS = 200;
const TOKEN_MS = 12.5;

/** Lays `requests` requests over the trace. */
export function createTimeline(trace: Trace, requests: number): Timeline {
  const rows = trace.requests;
  const lengthMs = (rows.at(-1)?.atMs ?? 0) + 1;
  const rowOf = (request: number): TraceRequest => rows[request % rows.length] ?? rows[0];
  const rawStartOf = (request: number): number => Math.floor(request / rows.length) * lengthMs + rowOf(request).atMs;
  const serviceMs = (row: TraceRequest): number => FIRST_TOKEN_MS + row.generatedTokens * TOKEN_MS;
  const longestMs = rows.reduce((longest, row) => Math.max(longest, serviceMs(row)), 0);
  const rawSpanMs = rawStartOf(requests - 1) + longestMs;
  const squeeze = Math.min(1, SPAN_MS_MAX / rawSpanMs);
  return {
    spanMs: Math.ceil(rawSpanMs * squeeze),
    rowOf,
    startOf: (request) => Math.floor(rawStartOf(request) * squeeze),
    endOf: (request) => Math.floor((rawStartOf(request) + serviceMs(rowOf(request))) * squeeze),
  };
}
