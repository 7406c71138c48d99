// @ts-check
import { find } from "./elements.js";

/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Field */
/** @typedef {{fields?: Record<string, string>, mode?: "chat" | "completion", theme?: "dark" | "light"}} Memory */

const STORE = "mcp-llama.playground";
const model = find("model", HTMLSelectElement);

/** @returns {Memory} */
export function recall() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

/** @param {Memory} change */
export function remember(change) {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...recall(), ...change }));
  } catch {
    // A browser may forbid storage; then nothing is remembered.
  }
}

/** @returns {Field[]} */
export function keptFields() {
  return [.../** @type {NodeListOf<Field>} */ (document.querySelectorAll("[data-keep]"))];
}

export function rememberFields() {
  const fields = Object.fromEntries(keptFields().map((field) => [field.name, field.value]));
  // Before the server has named its models, the choice of the last visit stands.
  if (!model.options.length) fields.model = recall().fields?.model ?? "";
  remember({ fields });
}

export function recallFields() {
  const { fields = {} } = recall();
  for (const field of keptFields()) field.value = fields[field.name] ?? "";
}
