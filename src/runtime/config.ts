/**
 * Owns: the settings of every process: read from the environment once, validated together, frozen, passed down.
 * Does not own: command-line options.
 * Invariants: all problems are reported at once, each naming its environment variable, the value found and what is
 * allowed; KAFKA_BROKERS, DATABASE_URL and REDIS_URL fall back to the local stack when it is up.
 */
import 'reflect-metadata';
import {
  IsBoolean,
  IsIn,
  IsInt,
  IsOptional,
  Matches,
  Max,
  MaxLength,
  Min,
  MinLength,
  validateSync,
} from 'class-validator';
import { discoverStack, STACK_DEFAULTS } from '../stack/discover.js';
import { TollbookError } from './errors.js';
import { ownValue } from './name-map.js';

const BROKER = String.raw`([^\s,:[\]]+|\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]):\d+`;
const BROKER_LIST = new RegExp(`^${BROKER}(,${BROKER})*$`);
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const DECIMAL = /^\d{1,9}(\.\d{1,9})?$/;
const MINUTE_MS = 60_000;
/** The largest quantity of the contract. */
const TOKENS_MAX = 1_000_000_000_000;

/** The settings. Times in milliseconds, sizes in bytes, amounts as decimal strings of currency units. */
export class Config {
  /** Comma-separated `host:port` or `[IPv6]:port`. */
  @Matches(BROKER_LIST, { message: 'must be a comma-separated list of host:port or [IPv6]:port' })
  kafkaBrokers!: string;

  @Matches(/^postgres(ql)?:\/\//, { message: 'must start with postgres:// or postgresql://' })
  databaseUrl!: string;

  /** Connection of the owner of the tables, for migrations; the same as databaseUrl unless set. */
  @Matches(/^postgres(ql)?:\/\//, { message: 'must start with postgres:// or postgresql://' })
  databaseOwnerUrl!: string;

  @Matches(/^rediss?:\/\//, { message: 'must start with redis:// or rediss://' })
  redisUrl!: string;

  /** The role that writes the ledger; empty when DATABASE_URL already logs in as a role without more rights. */
  @Matches(/^([a-z_][a-z0-9_]{0,62})?$/, { message: 'must be a role name or empty' })
  databaseRole!: string;

  @Matches(NAME, { message: 'must be a topic name' })
  topicPending!: string;

  @Matches(NAME, { message: 'must be a topic name' })
  topicCompleted!: string;

  @Matches(NAME, { message: 'must be a consumer group name' })
  consumerGroup!: string;

  /** After how long without a heartbeat Kafka gives the partitions of a process to others; Kafka allows no less than 6 s by default. */
  @IsInt()
  @Min(6_000)
  @Max(5 * MINUTE_MS)
  sessionTimeoutMs!: number;

  @MinLength(1)
  @MaxLength(64)
  @Matches(/^[A-Za-z0-9._-]+$/, { message: 'may hold letters, digits, dots, underscores and hyphens' })
  redisPrefix!: string;

  /** What the keys of one script call may share: a hash slot (`bucket`, for Redis Cluster) or only the server (`node`). */
  @IsIn(['bucket', 'node'])
  redisCallSpan!: 'bucket' | 'node';

  /** How far the clock of a machine may be from that of PostgreSQL before it charges nothing. */
  @IsInt()
  @Min(100)
  @Max(60 * MINUTE_MS)
  clockSkewMaxMs!: number;

  /** Most messages charged in one database transaction. */
  @IsInt()
  @Min(1)
  @Max(10_000)
  chunkMessagesMax!: number;

  @IsInt()
  @Min(1)
  @Max(64)
  partitionsConcurrent!: number;

  /** Longest pause before a partition that could not be charged is tried again. */
  @IsInt()
  @Min(100)
  @Max(MINUTE_MS)
  retryPauseMaxMs!: number;

  /** How long a partition may stand before the log says ERROR, and how often it says so again. */
  @IsInt()
  @Min(100)
  @Max(60 * MINUTE_MS)
  alarmAfterMs!: number;

  /** Longest wait of a chunk for Redis, before PostgreSQL decides. */
  @IsInt()
  @Min(5)
  @Max(10_000)
  redisDeadlineMs!: number;

  @IsInt()
  @Min(1024)
  @Max(15 * 1024 * 1024)
  eventBytesMax!: number;

  @IsInt()
  @Min(MINUTE_MS)
  eventAgeMaxMs!: number;

  /** The largest cost or estimate of one event, in units of the tenant's currency. */
  @Matches(/^(unlimited|\d{1,10}(\.\d{1,9})?)$/, { message: 'must be unlimited, or a decimal such as 250 or 0.5' })
  eventCostMax!: string;

  /** Whether the first event of a tenant without an account opens one. */
  @IsBoolean({ message: 'must be true or false' })
  autoOpenAccounts!: boolean;

  /** Whether the key of a message must be the tenant of its event. */
  @IsBoolean({ message: 'must be true or false' })
  keyMustBeTenant!: boolean;

  /** The file that lists which producer instances may publish for a tenant; empty: any may. */
  @MaxLength(4096)
  producersFile!: string;

  /** How long a hold stays open without a completion, under hold policy `estimate`. */
  @IsInt()
  @Min(1000)
  holdTtlMs!: number;

  /** The same for a pre-check that holds nothing, under hold policy `none`. */
  @IsInt()
  @Min(1000)
  holdTtlNoneMs!: number;

  /** How often a consuming process looks for holds past their time. */
  @IsInt()
  @Min(100)
  @Max(60 * MINUTE_MS)
  expiryIntervalMs!: number;

  /** Output tokens a hold is taken for when the pending event names no bound. */
  @IsInt()
  @Min(0)
  @Max(TOKENS_MAX)
  estimateOutputTokensDefault!: number;

  /** Most output tokens a hold is taken for; undefined: whatever the event names. */
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(TOKENS_MAX)
  estimateOutputTokensMax?: number;

  /** The price book that prices events without pricing; empty: they are skipped. */
  @Matches(/^([a-z0-9][a-z0-9._-]{0,62})?$/, { message: 'must be the name of a price book or empty' })
  priceBook!: string;

  /** How long Redis keeps an in-flight item that never reached the ledger. */
  @IsInt()
  @Min(1000)
  inflightTtlMs!: number;

  /** How often a projecting process audits the next tenants; 0 never. */
  @IsInt()
  @Min(0)
  @Max(24 * 60 * MINUTE_MS)
  auditIntervalMs!: number;

  @Matches(/^[A-Z]{3,8}$/, { message: 'must be 3 to 8 capital letters, such as USD' })
  defaultCurrency!: string;

  @Matches(DECIMAL, { message: 'must be a non-negative decimal such as 0 or 25.50' })
  defaultCreditLimit!: string;

  /** Requests per day for new accounts; undefined means unlimited. */
  @IsOptional()
  @IsInt()
  @Min(0)
  defaultDailyQuota?: number;

  @IsOptional()
  @IsInt()
  @Min(0)
  defaultMonthlyQuota?: number;

  @IsIn(['estimate', 'none'])
  defaultHoldPolicy!: 'estimate' | 'none';

  /** The topic that every command is published to, from which a restored database takes back what it lost; empty: to none. */
  @Matches(/^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$/, { message: 'must be a topic name or empty' })
  commandsTopic!: string;

  /** The topic that heads of chains are anchored in; empty: in none. */
  @Matches(/^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$/, { message: 'must be a topic name or empty' })
  anchorTopic!: string;

  /** The file that heads of chains are anchored in, a JSON line each; empty: in none. */
  @MaxLength(4096)
  anchorFile!: string;

  /** How often a consuming process anchors them. */
  @IsInt()
  @Min(1000)
  @Max(24 * 60 * MINUTE_MS)
  anchorIntervalMs!: number;

  /** The address that /livez, /readyz and /metrics are served on: by default for this machine alone. */
  @Matches(/^[0-9A-Za-z.:-]{1,253}$/, { message: 'must be an address or a host name' })
  metricsHost!: string;

  /** Their port; 0 takes any free one, undefined serves nothing. */
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(65_535)
  metricsPort?: number;

  @IsIn(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
  logLevel!: string;
}

interface Setting {
  readonly env: string;
  readonly fallback: string;
  readonly kind: 'text' | 'integer' | 'optionalInteger' | 'quota' | 'flag';
}

/** Every setting with its environment variable and default; an empty default means it must be set or found. */
export const SETTINGS: Readonly<Record<keyof Config, Setting>> = {
  kafkaBrokers: { env: 'KAFKA_BROKERS', fallback: '', kind: 'text' },
  databaseUrl: { env: 'DATABASE_URL', fallback: '', kind: 'text' },
  databaseOwnerUrl: { env: 'DATABASE_OWNER_URL', fallback: '', kind: 'text' },
  redisUrl: { env: 'REDIS_URL', fallback: '', kind: 'text' },
  databaseRole: { env: 'TOLLBOOK_DATABASE_ROLE', fallback: 'tollbook_app', kind: 'text' },
  topicPending: { env: 'TOLLBOOK_TOPIC_PENDING', fallback: 'usage.pending', kind: 'text' },
  topicCompleted: { env: 'TOLLBOOK_TOPIC_COMPLETED', fallback: 'usage.completed', kind: 'text' },
  consumerGroup: { env: 'TOLLBOOK_CONSUMER_GROUP', fallback: 'tollbook-ledger', kind: 'text' },
  sessionTimeoutMs: { env: 'TOLLBOOK_SESSION_TIMEOUT_MS', fallback: '30000', kind: 'integer' },
  redisPrefix: { env: 'TOLLBOOK_REDIS_PREFIX', fallback: 'tollbook', kind: 'text' },
  redisCallSpan: { env: 'TOLLBOOK_REDIS_CALL_SPAN', fallback: 'node', kind: 'text' },
  clockSkewMaxMs: { env: 'TOLLBOOK_CLOCK_SKEW_MAX_MS', fallback: '2000', kind: 'integer' },
  chunkMessagesMax: { env: 'TOLLBOOK_CHUNK_MESSAGES_MAX', fallback: '4000', kind: 'integer' },
  partitionsConcurrent: { env: 'TOLLBOOK_PARTITIONS_CONCURRENT', fallback: '3', kind: 'integer' },
  retryPauseMaxMs: { env: 'TOLLBOOK_RETRY_PAUSE_MAX_MS', fallback: '10000', kind: 'integer' },
  alarmAfterMs: { env: 'TOLLBOOK_ALARM_AFTER_MS', fallback: String(MINUTE_MS), kind: 'integer' },
  redisDeadlineMs: { env: 'TOLLBOOK_REDIS_DEADLINE_MS', fallback: '250', kind: 'integer' },
  eventBytesMax: { env: 'TOLLBOOK_EVENT_BYTES_MAX', fallback: String(256 * 1024), kind: 'integer' },
  eventAgeMaxMs: { env: 'TOLLBOOK_EVENT_AGE_MAX_MS', fallback: String(45 * 24 * 60 * MINUTE_MS), kind: 'integer' },
  eventCostMax: { env: 'TOLLBOOK_EVENT_COST_MAX', fallback: 'unlimited', kind: 'text' },
  autoOpenAccounts: { env: 'TOLLBOOK_AUTO_OPEN_ACCOUNTS', fallback: 'true', kind: 'flag' },
  keyMustBeTenant: { env: 'TOLLBOOK_KEY_MUST_BE_TENANT', fallback: 'false', kind: 'flag' },
  producersFile: { env: 'TOLLBOOK_PRODUCERS_FILE', fallback: '', kind: 'text' },
  holdTtlMs: { env: 'TOLLBOOK_HOLD_TTL_MS', fallback: String(15 * MINUTE_MS), kind: 'integer' },
  holdTtlNoneMs: { env: 'TOLLBOOK_HOLD_TTL_NONE_MS', fallback: String(15 * MINUTE_MS), kind: 'integer' },
  expiryIntervalMs: { env: 'TOLLBOOK_EXPIRY_INTERVAL_MS', fallback: '5000', kind: 'integer' },
  estimateOutputTokensDefault: {
    ...{ env: 'TOLLBOOK_ESTIMATE_OUTPUT_TOKENS_DEFAULT', fallback: '4096', kind: 'integer' },
  },
  estimateOutputTokensMax: {
    ...{ env: 'TOLLBOOK_ESTIMATE_OUTPUT_TOKENS_MAX', fallback: '', kind: 'optionalInteger' },
  },
  priceBook: { env: 'TOLLBOOK_PRICE_BOOK', fallback: '', kind: 'text' },
  inflightTtlMs: { env: 'TOLLBOOK_INFLIGHT_TTL_MS', fallback: String(15 * MINUTE_MS), kind: 'integer' },
  auditIntervalMs: { env: 'TOLLBOOK_AUDIT_INTERVAL_MS', fallback: String(5 * MINUTE_MS), kind: 'integer' },
  defaultCurrency: { env: 'TOLLBOOK_DEFAULT_CURRENCY', fallback: 'USD', kind: 'text' },
  defaultCreditLimit: { env: 'TOLLBOOK_DEFAULT_CREDIT_LIMIT', fallback: '0', kind: 'text' },
  defaultDailyQuota: { env: 'TOLLBOOK_DEFAULT_DAILY_QUOTA', fallback: 'unlimited', kind: 'quota' },
  defaultMonthlyQuota: { env: 'TOLLBOOK_DEFAULT_MONTHLY_QUOTA', fallback: 'unlimited', kind: 'quota' },
  defaultHoldPolicy: { env: 'TOLLBOOK_DEFAULT_HOLD_POLICY', fallback: 'estimate', kind: 'text' },
  commandsTopic: { env: 'TOLLBOOK_COMMANDS_TOPIC', fallback: '', kind: 'text' },
  anchorTopic: { env: 'TOLLBOOK_ANCHOR_TOPIC', fallback: '', kind: 'text' },
  anchorFile: { env: 'TOLLBOOK_ANCHOR_FILE', fallback: '', kind: 'text' },
  anchorIntervalMs: { env: 'TOLLBOOK_ANCHOR_INTERVAL_MS', fallback: String(MINUTE_MS), kind: 'integer' },
  metricsHost: { env: 'TOLLBOOK_METRICS_HOST', fallback: '127.0.0.1', kind: 'text' },
  metricsPort: { env: 'TOLLBOOK_METRICS_PORT', fallback: '', kind: 'optionalInteger' },
  logLevel: { env: 'TOLLBOOK_LOG_LEVEL', fallback: 'info', kind: 'text' },
};

/** Environment variables by name; an empty value counts as unset. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads and validates the settings.
 * Throws CONFIG_INVALID that lists every problem with its variable, the value found and what is allowed.
 */
export function loadConfig(environment: Environment = process.env): Readonly<Config> {
  const stack = stackSettings(environment);
  const config = new Config();
  for (const [property, setting] of Object.entries(SETTINGS) as [keyof Config, Setting][]) {
    const found = ownValue(environment, setting.env) || ownValue(stack, setting.env) || setting.fallback;
    Object.assign(config, { [property]: parseSetting(found, setting.kind) });
  }
  const inheritsOwner = config.databaseOwnerUrl === '';
  config.databaseOwnerUrl ||= config.databaseUrl;
  const violations = validateSync(config).filter(({ property }) => !(inheritsOwner && property === 'databaseOwnerUrl'));
  const problems = violations.map((problem) => {
    const { env } = SETTINGS[problem.property as keyof Config];
    const allowed = Object.values(problem.constraints ?? {}).join(', ');
    return `${env} is ${describe(problem.value, env)}: ${allowed.replaceAll(problem.property, 'it')}`;
  });
  if (problems.length > 0) {
    throw new TollbookError(
      'CONFIG_INVALID',
      `${problems.length} setting(s) are invalid:\n  ${problems.join('\n  ')}`,
      {
        context: { problems },
      },
    );
  }
  return Object.freeze(config);
}

/** What the local stack says for settings that are not given; its journal only together with its Kafka. */
function stackSettings(environment: Environment): Environment {
  const addresses = discoverStack();
  const isItsKafka = addresses !== undefined && !ownValue(environment, 'KAFKA_BROKERS');
  return { ...addresses, ...(isItsKafka ? STACK_DEFAULTS : {}) };
}

function parseSetting(found: string, kind: Setting['kind']): string | number | boolean | undefined {
  if (kind === 'flag') return found === 'true' ? true : found === 'false' ? false : found;
  if (kind === 'text') return found;
  if (kind === 'quota' && found === 'unlimited') return undefined;
  if (kind === 'optionalInteger' && found === '') return undefined;
  return /^-?\d{1,15}$/.test(found) ? Number(found) : found;
}

function describe(value: unknown, env: string): string {
  if (value === '' || value === undefined) return 'not set (and no local stack is up)';
  return env.endsWith('_URL') ? 'malformed' : JSON.stringify(value);
}

/** The environment variables that give a child process these settings. */
export function environmentOf(config: Readonly<Config>): Record<string, string> {
  const pairs = (Object.entries(SETTINGS) as [keyof Config, Setting][]).map(([property, { env, kind }]) => [
    env,
    String(config[property] ?? (kind === 'quota' ? 'unlimited' : '')),
  ]);
  return Object.fromEntries(pairs) as Record<string, string>;
}
