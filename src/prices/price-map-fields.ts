/**
 * Owns: the names of prices in the public model price map: which meter, context boundary and price class each one is.
 * Does not own: reading the file (price-map-reader.ts), nor how fields become rows (price-map-rows.ts).
 * Source: model_prices_and_context_window_backup.json of the Python package `litellm` 1.110.2.
 */
import { METERS } from '../ledger/meters.js';

/** The two meters that rows keep in fields of their own. */
export const INPUT_METER = METERS.inputTokens;
export const OUTPUT_METER = METERS.outputTokens;

/** What a field prices. */
export interface PriceField {
  readonly meter: string;
  readonly priceClass: string;
  readonly contextAbove: number;
}

/** Field → meter, without boundary and class. */
const METER_OF: ReadonlyMap<string, string> = new Map([
  ['input_cost_per_token', INPUT_METER],
  ['output_cost_per_token', OUTPUT_METER],
  ['cache_read_input_token_cost', METERS.cachedInputTokens],
  ['cache_creation_input_token_cost', METERS.cacheCreationInputTokens],
  ['cache_creation_input_token_cost_above_1hr', METERS.cacheCreation1hInputTokens],
  ['cache_creation_input_token_cost_above_12hr', METERS.cacheCreation12hInputTokens],
  ['cache_read_input_audio_token_cost', METERS.cachedAudioInputTokens],
  ['cache_read_input_image_token_cost', 'cached_image_input_tokens'],
  ['cache_creation_input_audio_token_cost', 'cache_creation_audio_input_tokens'],
  ['explicit_cache_read_input_token_cost', 'explicit_cached_input_tokens'],
  ['output_cost_per_reasoning_token', METERS.reasoningOutputTokens],
  ['input_cost_per_audio_token', METERS.audioInputTokens],
  ['output_cost_per_audio_token', METERS.audioOutputTokens],
  ['input_cost_per_image_token', METERS.imageInputTokens],
  ['output_cost_per_image_token', METERS.imageOutputTokens],
  ['input_cost_per_video_token', METERS.videoInputTokens],
  ['output_cost_per_video_token', METERS.videoOutputTokens],
  ['citation_cost_per_token', 'citation_tokens'],
  ['input_cost_per_request', METERS.requests],
  ['input_cost_per_query', 'queries'],
  ['input_cost_per_text_message', 'text_messages'],
  ['input_cost_per_character', 'input_characters'],
  ['output_cost_per_character', 'output_characters'],
  ['input_cost_per_second', 'input_seconds'],
  ['output_cost_per_second', 'output_seconds'],
  ['cost_per_second', 'seconds'],
  ['input_cost_per_audio_per_second', 'audio_input_seconds'],
  ['input_cost_per_video_per_second', 'video_input_seconds'],
  ['output_cost_per_video_per_second', 'video_output_seconds'],
  ['input_cost_per_image', 'input_images'],
  ['output_cost_per_image', 'output_images'],
  ['input_cost_per_pixel', 'input_pixels'],
  ['output_cost_per_pixel', 'output_pixels'],
  ['ocr_cost_per_page', 'ocr_pages'],
  ['ocr_cost_per_credit', 'ocr_credits'],
  ['annotation_cost_per_page', 'annotation_pages'],
  ['code_interpreter_cost_per_session', 'code_interpreter_sessions'],
  ['google_maps_grounding_cost_per_query', METERS.mapsGroundingRequests],
  ['computer_use_input_cost_per_1k_tokens', 'computer_use_input_tokens'],
  ['computer_use_output_cost_per_1k_tokens', 'computer_use_output_tokens'],
  ['file_search_cost_per_1k_calls', 'file_search_requests'],
  ['file_search_cost_per_gb_per_day', 'file_search_gb_days'],
  ['vector_store_cost_per_gb_per_day', 'vector_store_gb_days'],
]);

/** Fields whose number is a price per 1,000 already. */
export const PRICED_PER_1K = /_per_1k_(?:tokens|calls)$/;

/** The same price under another name: read only where the first is absent. */
export const SAME_PRICE: ReadonlyMap<string, string> = new Map([
  ['input_cost_per_token_cache_hit', 'cache_read_input_token_cost'],
]);

/** Ending of a field → price class. */
const CLASS_OF: ReadonlyMap<string, string> = new Map([
  ['batches', 'batch'],
  ['priority', 'priority'],
  ['flex', 'flex'],
  ['ultrafast', 'ultrafast'],
  ['balanced', 'balanced'],
  ['decisions', 'decisions'],
]);

/** Prices of one picture or second that depend on its size: the size becomes part of the meter's name. */
const SIZED = /^(output_cost_per_(?:image|second)|input_cost_per_video_per_second)_((?:\d|above).*)$/;
const PARTS = /^(.+?)(?:_above_(\d{1,6})k_tokens)?(?:_([a-z]+))?$/;

/** What a field of the map prices; undefined when it is no price that is known here. */
export function priceFieldOf(name: string): PriceField | undefined {
  const known = METER_OF.get(name);
  if (known !== undefined) return { meter: known, priceClass: 'standard', contextAbove: 0 };
  const sized = SIZED.exec(name);
  const base = sized?.[1] === undefined ? undefined : METER_OF.get(sized[1]);
  if (base !== undefined) {
    return {
      meter: `${base}_${(sized?.[2] ?? '').toLowerCase().replaceAll('.', '_')}`,
      priceClass: 'standard',
      contextAbove: 0,
    };
  }
  const [, field = '', boundary, ending] = PARTS.exec(name) ?? [];
  const meter = METER_OF.get(field);
  const priceClass = ending === undefined ? 'standard' : CLASS_OF.get(ending);
  if (meter === undefined || priceClass === undefined) return undefined;
  return { meter, priceClass, contextAbove: boundary === undefined ? 0 : Number(boundary) * 1000 };
}

/** Fields whose numbers are multiples of the ordinary token prices, and the class in which they hold. */
export const CLASS_MULTIPLIERS: ReadonlyMap<string, string> = new Map([
  ['fedramp_uplift_multiplier', 'fedramp'],
  ['regional_endpoint_uplift_multiplier', 'regional'],
  ['regional_processing_uplift_multiplier_eu', 'eu'],
  ['regional_processing_uplift_multiplier_us', 'us'],
]);

/** Names within `provider_specific_entry` that are such multiples; each is the class of its name. */
export const SPECIFIC_MULTIPLIERS: readonly string[] = ['fast', 'us'];

/** Prices in a provider's own units, which are no money. */
export const NOT_MONEY = /_dbu_cost_/;

/** What a price of the map is called; other fields describe the model. */
export const PRICE_NAME = /(?:^|_)(?:cost|pricing)(?:_|$)|_multiplier(?:_|$)/;
