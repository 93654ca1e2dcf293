/**
 * Owns: what part of the ledger a proof looks at, and the conditions and statements that read just that part.
 * Invariants: reads only; every value in a statement is written as a literal, since COPY takes no parameters.
 */
import { LEAF_SELECT } from './leaf-lines.js';
import { literal } from './proof-snapshot.js';

/** What a proof looks at: everything, the ledger of a tenant, or the chains of a topic or of one of its partitions. */
export type ProofScope =
  | { readonly kind: 'full' }
  | { readonly kind: 'tenant'; readonly tenantId: string }
  | { readonly kind: 'source'; readonly topic: string; readonly partition: number | undefined };

/** The entries of a scope as leaf lines; by tenant and seq, but for those of a source, which come in any order. */
export function leafStatement(scope: ProofScope): string {
  const select = `SELECT ${LEAF_SELECT} FROM ledger_entries e`;
  switch (scope.kind) {
    case 'full':
      return `${select} ORDER BY e.tenant_id, e.seq`;
    case 'tenant':
      return `${select} WHERE e.tenant_id = ${literal(scope.tenantId)} ORDER BY e.seq`;
    case 'source':
      return `${select} WHERE ${entriesIn(scope)}`;
  }
}

/** The condition on `ledger_entries e`: the entries whose batches the scope looks at. */
export function entriesIn(scope: ProofScope): string {
  switch (scope.kind) {
    case 'full':
      return 'true';
    case 'tenant':
      return `e.batch_id IN (SELECT t.batch_id FROM ledger_entries t WHERE t.tenant_id = ${literal(scope.tenantId)})`;
    case 'source': {
      // An entry that says it comes from the source, but stands in no batch of it, is looked at too.
      const partition = scope.partition === undefined ? '' : `AND e.source_partition = ${scope.partition}`;
      return `(e.batch_id IN (SELECT b.batch_id FROM ledger_batches b WHERE ${sourcesIn(scope, 'b')})
        OR e.source_topic = ${literal(scope.topic)} ${partition})`;
    }
  }
}

/** The condition on a table with the columns topic and partition: the sources that the scope looks at. */
export function sourcesIn(scope: ProofScope, alias: string): string {
  switch (scope.kind) {
    case 'full':
      return 'true';
    case 'tenant':
      return `(${alias}.topic, ${alias}.partition) IN (SELECT t.topic, t.partition FROM ledger_batches t
        WHERE t.batch_id IN (SELECT e.batch_id FROM ledger_entries e WHERE e.tenant_id = ${literal(scope.tenantId)}))`;
    case 'source': {
      const topic = `${alias}.topic = ${literal(scope.topic)}`;
      return scope.partition === undefined ? topic : `${topic} AND ${alias}.partition = ${scope.partition}`;
    }
  }
}
