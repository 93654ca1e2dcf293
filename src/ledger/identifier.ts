/**
 * Owns: what a tenant id, trace id or idempotency key may look like; they become parts of Redis keys and of each other.
 * Invariants: printable ASCII without blanks, braces, quotes and backslashes, so that an id stands as it is in a Redis key, a
 * row of COPY, a log line and a command line. Ids that begin with a tilde are Tollbook's own: entries of commands (`~KEY`),
 * openings (`~~open`), its own streams (`~commands`) and the sums in Redis (`~available`).
 */

/** 1 to 256 characters, as gateways, identity providers and generators of ids write them; no tilde first. */
export const IDENTIFIER = /^[A-Za-z0-9._:@/|=+%#!$&*-][A-Za-z0-9._:@/|=+~%#!$&*-]{0,255}$/u;

/** IDENTIFIER in words, for error messages. */
export const IDENTIFIER_ALLOWED = '1 to 256 of A-Z a-z 0-9 . _ : @ / | = + ~ % # ! $ & * -, no ~ first';
