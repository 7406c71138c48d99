// @ts-check
import { announce } from "./announcer.js";

const COPIED_MS = 1500;

/**
 * @param {string} text
 * @param {HTMLElement} button Says that it is done.
 */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copySelected(text);
  }
  const label = button.textContent;
  button.textContent = "Copied";
  announce("Copied");
  setTimeout(() => (button.textContent = label), COPIED_MS);
}

/** Pages that came neither over https nor from this machine have no clipboard API. @param {string} text */
function copySelected(text) {
  const holder = document.createElement("textarea");
  const focused = document.activeElement;
  holder.value = text;
  document.body.append(holder);
  holder.select();
  document.execCommand("copy");
  holder.remove();
  if (focused instanceof HTMLElement) focused.focus();
}
