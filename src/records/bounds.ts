/**
 * Owns: how much of a record batch is read before it counts as unreadable.
 * Invariants: constants, not settings: whoever reads a batch again (reconcile, replay) must come to the same verdict as the
 * process that charged it.
 */

/**
 * The decompressed records of one batch. A broker takes 1 MiB compressed unless it is told otherwise, and usage events shrink to
 * a tenth: twice as much is allowed. As many batches are held at once as a fetch brings, so 8 of them are 128 MiB.
 */
export const BATCH_BYTES_MAX = 16 * 1024 * 1024;

/** More than 1 MiB of the smallest records there are: 7 bytes, with neither key nor value. */
export const BATCH_RECORDS_MAX = 200_000;

/** Headers of one record; tracing sends fewer than ten. */
export const HEADERS_MAX = 256;

/** All headers of one record. */
export const HEADER_BYTES_MAX = 64 * 1024;

/** Of an unreadable batch so many bytes are kept as they are; of a larger one its length and SHA-256. */
export const KEPT_BYTES_MAX = 2 * 1024 * 1024;
