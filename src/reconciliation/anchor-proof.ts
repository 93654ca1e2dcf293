/**
 * Owns: the proof that every anchor still lies on its chain: that nothing which was vouched for outside of the database
 * was rewritten or cut off.
 * Invariants: reads only; memory is bounded by a page of anchors and the number of chains; however many anchors one
 * fault contradicts, it is one finding for its chain.
 */
import type { ProofScope } from '../ledger/postgres/proof-scope.js';
import { readBatchHashes, type ReadRows } from '../ledger/postgres/anchor-rows.js';
import type { Anchor, FoundAnchor } from './anchor.js';
import type { ChainTip } from './verify-chain.js';
import { sourceName } from './verify-chain.js';
import type { ProblemReport } from './verify-problem.js';

/** What the proof has looked at. */
export interface AnchorFigures {
  readonly checked: number;
  /** When the newest of them was published; null without any. */
  readonly newest: string | null;
  /** Chains that no anchor vouches for. */
  readonly unanchored: readonly string[];
  /** Anchors that somebody put in the place of contradicted ones. */
  readonly replaced: readonly Anchor[];
}

/** What anchors are held against. */
export interface AnchoredChains {
  readonly rows: ReadRows;
  readonly scope: ProofScope;
  /** The chains as they were followed, by source name. */
  readonly tips: ReadonlyMap<string, ChainTip>;
}

const PAGE = 1_000;

/** Holds anchors against the chains. Throws POSTGRES_*, and what reading the anchors throws. */
export async function proveAnchors(
  chains: AnchoredChains,
  anchors: AsyncIterable<FoundAnchor>,
  report: ProblemReport,
): Promise<AnchorFigures> {
  const proof = new AnchorProof(chains, report);
  let page: Anchor[] = [];
  for await (const found of anchors) {
    if (found.kind !== 'anchor') reportAbsence(found, chains, report);
    if (found.kind !== 'anchor' || !isInScope(chains.scope, found.anchor)) continue;
    page.push(found.anchor);
    if (page.length < PAGE) continue;
    await proof.check(page);
    page = [];
  }
  await proof.check(page);
  return proof.close();
}

function reportAbsence(
  found: Exclude<FoundAnchor, { kind: 'anchor' }>,
  { tips }: AnchoredChains,
  report: ProblemReport,
): void {
  if (found.kind === 'malformed') {
    report({ kind: 'anchor', message: `the anchor at ${found.place} cannot be read: ${found.why}` });
  } else if (tips.size > 0) {
    report({ kind: 'anchor', message: `no anchor was found in ${found.place}: nothing there vouches for the chains` });
  }
}

/** A tenant's entries may stand in any chain, so every anchor counts for it. */
function isInScope(scope: ProofScope, { source }: Anchor): boolean {
  if (scope.kind !== 'source') return true;
  return source.topic === scope.topic && (scope.partition === undefined || source.partition === scope.partition);
}

/** What contradicts the anchors of one chain: the earliest such anchor, and how many there are. */
interface Contradiction {
  readonly first: Anchor;
  readonly kind: 'missing' | 'other';
  readonly count: number;
}

class AnchorProof {
  readonly #chains: AnchoredChains;
  readonly #report: ProblemReport;
  readonly #contradictions = new Map<string, Contradiction>();
  readonly #anchored = new Set<string>();
  readonly #replaced: Anchor[] = [];
  #checked = 0;
  #newest: string | null = null;

  constructor(chains: AnchoredChains, report: ProblemReport) {
    this.#chains = chains;
    this.#report = report;
  }

  async check(anchors: readonly Anchor[]): Promise<void> {
    if (anchors.length === 0) return;
    const hashes = await readBatchHashes(this.#chains.rows, anchors);
    for (const [index, anchor] of anchors.entries()) {
      const found = hashes[index];
      this.#checked += 1;
      this.#anchored.add(sourceName(anchor.source));
      // Somebody has put it in the place of those before it, with a name and a reason.
      if (anchor.replacement !== undefined) this.#replace(anchor);
      if (this.#newest === null || anchor.anchoredAt > this.#newest) this.#newest = anchor.anchoredAt;
      if (found !== anchor.hash) this.#note(anchor, found === undefined ? 'missing' : 'other');
    }
  }

  close(): AnchorFigures {
    for (const contradiction of this.#contradictions.values()) this.#tell(contradiction);
    const unanchored = [...this.#chains.tips.keys()].filter((name) => !this.#anchored.has(name));
    return { checked: this.#checked, newest: this.#newest, unanchored, replaced: this.#replaced };
  }

  #replace(anchor: Anchor): void {
    this.#contradictions.delete(sourceName(anchor.source));
    this.#replaced.push(anchor);
  }

  #note(anchor: Anchor, kind: Contradiction['kind']): void {
    const name = sourceName(anchor.source);
    const known = this.#contradictions.get(name);
    if (known === undefined) this.#contradictions.set(name, { first: anchor, kind, count: 1 });
    else if (anchor.batchNo < known.first.batchNo) {
      this.#contradictions.set(name, { first: anchor, kind, count: known.count + 1 });
    } else this.#contradictions.set(name, { ...known, count: known.count + 1 });
  }

  #tell({ first, kind, count }: Contradiction): void {
    const { batchNo, anchoredAt, hash } = first;
    const name = sourceName(first.source);
    const others = count === 1 ? '' : ` (and ${count - 1} more anchors of the chain are contradicted)`;
    const tip = this.#chains.tips.get(name)?.batchNo ?? 0;
    const what =
      kind === 'other'
        ? `has another hash than the one anchored at ${anchoredAt}, ${hash}: the chain was rewritten`
        : batchNo > tip
          ? `was anchored at ${anchoredAt} and is not there: the chain ends at #${tip}, its tail was cut off`
          : `was anchored at ${anchoredAt} and is not there`;
    this.#report({ kind: 'anchor', message: `batch ${name}#${batchNo} ${what}${others}` });
  }
}
