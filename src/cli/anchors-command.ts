/**
 * Owns: `tollbook anchors publish | list`: telling the heads of all chains outside of the database once, and showing what
 * was told.
 * Does not own: publishing again and again (ledger-process.ts), the check (verify-command.ts).
 * Invariants: a chain that contradicts its last anchor is left as it is and makes the exit code 1, unless someone puts a
 * new anchor in its place with a name and a reason.
 */
import { type Command, Option } from 'commander';
import { rowsThrough } from '../ledger/postgres/anchor-rows.js';
import type { Anchor, AnchorPlace } from '../reconciliation/anchor.js';
import {
  type AnchorSink,
  newestAnchors,
  publishHeads,
  type PublishedHeads,
  type ReplaceOrder,
} from '../reconciliation/anchor-heads.js';
import { sourceName } from '../reconciliation/verify-chain.js';
import { systemClock } from '../runtime/clock.js';
import { type Config, loadConfig } from '../runtime/config.js';
import { TollbookError } from '../runtime/errors.js';
import { createPostgresPool } from '../runtime/postgres.js';
import { anchorPlaces, anchorSinks, filePath, noAnchorPlace } from './anchor-parts.js';
import { plainText } from './option-values.js';
import { plainTable } from './plain-table.js';
import { printJson, printText } from './output.js';

interface PublishFlags {
  readonly replace?: boolean;
  readonly actor?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

interface ListFlags {
  readonly anchorsFile?: string;
  readonly json?: boolean;
}

/** Adds `anchors` to the program. */
export function registerAnchorsCommand(program: Command): void {
  const anchors = program.command('anchors').description('the heads of the chains, as told outside of the database');
  anchors
    .command('publish')
    .description('publish the head of every chain to TOLLBOOK_ANCHOR_TOPIC and TOLLBOOK_ANCHOR_FILE, where it is new')
    .addOption(
      new Option('--replace', 'also where the chain contradicts its last anchor, as after restoring an older database'),
    )
    .option('--actor <who>', 'who replaces an anchor', plainText)
    .option('--reason <text>', 'why', plainText)
    .option('--json', 'print the result as one JSON object')
    .addHelpText('after', '\nA running `tollbook consume` publishes them every TOLLBOOK_ANCHOR_INTERVAL_MS by itself.')
    .action(publish);
  anchors
    .command('list')
    .description('show the newest anchor of every chain')
    .option('--anchors-file <file>', 'the anchors in this file, instead of those where the settings say', filePath)
    .option('--json', 'print the result as one JSON array')
    .action(list);
}

interface PublishedTo extends PublishedHeads {
  readonly place: string;
}

async function publish(flags: PublishFlags): Promise<void> {
  const replace = replaceOrder(flags);
  const config = loadConfig();
  const sinks = anchorSinks(config);
  if (sinks.length === 0) throw noAnchorPlace();
  const results: PublishedTo[] = [];
  try {
    for (const sink of sinks) results.push({ place: sink.name, ...(await publishTo(config, sink, replace)) });
  } finally {
    for (const sink of sinks) await sink.close();
  }
  if (flags.json === true) printJson({ places: results.map(publishedDocument) });
  else printText(results.map(publishedText).join(''));
  if (results.some(({ broken }) => broken.length > 0)) process.exitCode = 1;
}

/** Throws USAGE_INVALID for a replacement that nobody answers for. */
function replaceOrder({ replace, actor, reason }: PublishFlags): ReplaceOrder | undefined {
  if (replace !== true) {
    if (actor === undefined && reason === undefined) return undefined;
    throw new TollbookError('USAGE_INVALID', '--actor and --reason are given; allowed: only with --replace');
  }
  if (actor !== undefined && reason !== undefined) return { actor, reason };
  const missing = actor === undefined ? '--actor' : '--reason';
  throw new TollbookError('USAGE_INVALID', `--replace is given without ${missing}: somebody must answer for it`);
}

async function publishTo(
  config: Readonly<Config>,
  sink: AnchorSink,
  replace: ReplaceOrder | undefined,
): Promise<PublishedHeads> {
  const known = await newestAnchors(sink);
  const pool = createPostgresPool({
    url: config.databaseUrl,
    role: config.databaseRole,
    applicationName: 'tollbook-anchors',
    connectionsMax: 1,
  });
  try {
    return await publishHeads({ rows: rowsThrough(pool), clock: systemClock }, { sink, known, replace });
  } finally {
    await pool.end();
  }
}

function publishedDocument({ place, published, unchanged, broken }: PublishedTo): Record<string, unknown> {
  return {
    place,
    published: published.map(anchorDocument),
    unchanged,
    broken: broken.map(({ anchor, found }) => ({ ...anchorDocument(anchor), found })),
  };
}

function publishedText({ place, published, unchanged, broken }: PublishedTo): string {
  const lines = [
    `${place}: ${published.length} published, ${unchanged} unchanged`,
    ...broken.map(({ anchor, found }) => {
      const name = `${sourceName(anchor.source)}#${anchor.batchNo}`;
      const what = found === 'missing' ? 'is not in the ledger' : 'has another hash in the ledger';
      return `NOT published: batch ${name}, anchored at ${anchor.anchoredAt}, ${what}; run "tollbook verify --anchors"`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

async function list(flags: ListFlags): Promise<void> {
  const places = anchorPlaces(loadConfig(), flags.anchorsFile);
  if (places.length === 0) throw noAnchorPlace();
  const found: [place: string, anchor: Anchor][] = [];
  for (const place of places) found.push(...(await anchorsOf(place)));
  if (flags.json === true) {
    printJson(found.map(([place, anchor]) => ({ place, ...anchorDocument(anchor) })));
    return;
  }
  const table = plainTable(['topic', 'partition', 'batch', 'hash', 'anchored', 'where']);
  for (const [place, { source, batchNo, hash, anchoredAt }] of found) {
    table.push([source.topic, source.partition, batchNo, `${hash.slice(0, 16)}…`, anchoredAt, place]);
  }
  printText(found.length === 0 ? 'no anchor\n' : `${table.toString()}\n`);
}

async function anchorsOf(place: AnchorPlace): Promise<[place: string, anchor: Anchor][]> {
  const newest = await newestAnchors(place);
  const sorted = [...newest].sort(([one], [other]) => (one < other ? -1 : 1));
  return sorted.map(([, anchor]) => [place.name, anchor]);
}

function anchorDocument(anchor: Anchor): Record<string, unknown> {
  const { source, batchNo, hash, nextOffset, sealedAt, anchoredAt, clusterId, replacement } = anchor;
  return {
    ...{ ...source, batchNo, hash, nextOffset: nextOffset.toString(), sealedAt, anchoredAt, clusterId },
    replaces: replacement ?? null,
  };
}
