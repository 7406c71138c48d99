// @ts-check
import { changed } from "./changes.js";
import { find } from "./elements.js";
import { recall, remember } from "./memory.js";

/** @typedef {"chat" | "completion"} Mode */

const modes = find("modes", HTMLFieldSetElement);

/** @returns {Mode} */
export function mode() {
  return modes.querySelector('[value="completion"]:checked') ? "completion" : "chat";
}

export function isChat() {
  return mode() === "chat";
}

export function recallMode() {
  const radio = modes.querySelector(`input[value="${recall().mode === "completion" ? "completion" : "chat"}"]`);
  if (radio instanceof HTMLInputElement) radio.checked = true;
}

export function watchMode() {
  modes.addEventListener("change", () => {
    remember({ mode: mode() });
    showMode();
    changed();
  });
}

/** @param {boolean} isLocked */
export function lockMode(isLocked) {
  modes.disabled = isLocked;
}

export function showMode() {
  document.body.dataset.mode = mode();
  for (const id of ["chat", "draft", "system-field"]) find(id, HTMLElement).hidden = !isChat();
  for (const id of ["completion", "sheet-status"]) find(id, HTMLElement).hidden = isChat();
  const enter = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘ Enter" : "Ctrl Enter";
  find("keys", HTMLElement).textContent = isChat()
    ? "Enter sends · Shift Enter starts a new line · Esc stops"
    : `${enter} continues · Esc stops`;
}
