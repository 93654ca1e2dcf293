/** Owns: what a tenant id, trace id or idempotency key may look like; they become parts of Redis keys and of each other. */

/** 1 to 128 characters, a letter or digit first; no blanks and no braces. */
export const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/;

/** IDENTIFIER in words, for error messages. */
export const IDENTIFIER_ALLOWED = '1 to 128 of A-Z a-z 0-9 . _ : @ / -, a letter or digit first';
