// @ts-check

/** @typedef {{total: number, cache: number, processed: number}} Progress */
/** @typedef {{prompt: number, cached: number, completion: number}} Usage */

/**
 * What one event of an answer says, whichever API it came from. `tokens` counts all so far.
 * @typedef {object} Piece
 * @property {Progress} [progress]
 * @property {string} [text]
 * @property {string} [reasoning]
 * @property {number} [tokens]
 * @property {string} [finish]
 * @property {string | null} [stop]
 * @property {number} [seed]
 * @property {Usage} [usage]
 * @property {number | null} [rate] Tokens a second, as the server measured it.
 */

/**
 * @param {any} data
 * @returns {Piece}
 */
export function chatPiece({ choices, prompt_progress, usage, timings }) {
  const choice = choices?.[0];
  return {
    progress: prompt_progress ?? undefined,
    text: choice?.delta?.content || undefined,
    reasoning: choice?.delta?.reasoning_content || undefined,
    tokens: timings?.predicted_n,
    finish: choice?.finish_reason ?? undefined,
    rate: timings?.predicted_per_second,
    usage: usage && {
      prompt: usage.prompt_tokens,
      cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
      completion: usage.completion_tokens,
    },
  };
}

/**
 * @param {any} data
 * @returns {Piece}
 */
export function completionPiece(data) {
  const { prompt_progress, text, completion_tokens, finish_reason, stop, seed, usage, timings } = data;
  return {
    progress: prompt_progress ?? undefined,
    text: text || undefined,
    tokens: completion_tokens,
    finish: finish_reason ?? undefined,
    stop,
    seed,
    rate: timings?.tokens_per_second,
    usage: usage && {
      prompt: usage.prompt_tokens,
      cached: usage.cached_tokens,
      completion: usage.completion_tokens,
    },
  };
}
