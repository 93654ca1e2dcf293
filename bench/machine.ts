/** Owns: what a figure was measured on: machine, versions, and the settings of the servers that decide about speed. */
import { cpus, totalmem } from 'node:os';
import pg from 'pg';
import { enterRunWorld } from '../src/cli/run-world.js';

/** Machine and settings, by name. */
export type MachineFacts = Readonly<Record<string, string>>;

const SETTINGS = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
];

/** Reads what there is to know; starts the stack if it is down. */
export async function machineFacts(): Promise<MachineFacts> {
  const world = await enterRunWorld({ name: 'bench', partitions: 1, report: () => undefined });
  const client = new pg.Client({ connectionString: world.config.databaseOwnerUrl });
  try {
    await client.connect();
    const { rows } = await client.query<{ name: string; setting: string }>(
      `SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name = ANY($1) ORDER BY name`,
      [SETTINGS],
    );
    const { chunkMessagesMax, partitionsConcurrent } = world.config;
    return {
      cpu: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
      memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
      node: process.version,
      ...Object.fromEntries(rows.map(({ name, setting }) => [`postgres.${name}`, setting])),
      'consumer.chunkMessagesMax': String(chunkMessagesMax),
      'consumer.partitionsConcurrent': String(partitionsConcurrent),
    };
  } finally {
    await client.end();
    await world.leave();
  }
}
