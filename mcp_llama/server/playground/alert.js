// @ts-check
import { find } from "./elements.js";

const alert = find("alert", HTMLElement);
const words = find("alert-text", HTMLElement);

/** @param {string} message Empty for none. */
export function showError(message) {
  alert.hidden = !message;
  words.textContent = message;
}

export function hasError() {
  return !alert.hidden;
}
