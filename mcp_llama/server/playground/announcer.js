// @ts-check
import { find } from "./elements.js";

const announcer = find("announcer", HTMLElement);

/**
 * Has a screen reader say something.
 * @param {string} text
 */
export function announce(text) {
  announcer.textContent = text;
}
