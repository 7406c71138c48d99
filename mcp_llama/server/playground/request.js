// @ts-check
/** @import { ApiRequest } from "./api.js" */
import { CHAT, COMPLETION } from "./api.js";
import { chosenModel } from "./models.js";
import { sampling, systemMessage } from "./settings.js";

/** @typedef {{role: "system" | "user" | "assistant", content: string}} Message */

/**
 * @param {Message[]} turns
 * @returns {ApiRequest}
 */
export function chatRequest(turns) {
  const system = systemMessage();
  /** @type {Message[]} */
  const messages = system.trim() ? [{ role: "system", content: system }, ...turns] : turns;
  return {
    path: CHAT,
    body: {
      model: chosenModel() || undefined,
      messages,
      ...sampling(),
      stream: true,
      stream_options: { include_usage: true },
      return_progress: true,
      timings_per_token: true,
    },
  };
}

/**
 * @param {string} prompt
 * @returns {ApiRequest}
 */
export function completionRequest(prompt) {
  return {
    path: COMPLETION,
    body: { model: chosenModel() || undefined, prompt, ...sampling(), return_progress: true },
  };
}
