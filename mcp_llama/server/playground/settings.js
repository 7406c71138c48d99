// @ts-check
import { showError } from "./alert.js";
import { announce } from "./announcer.js";
import { changed } from "./changes.js";
import { find } from "./elements.js";
import { keptFields } from "./memory.js";
import { chooseFirstModel } from "./models.js";

const panel = find("settings", HTMLElement);
const system = find("system", HTMLTextAreaElement);
const stop = find("stop", HTMLTextAreaElement);
const numbers = ["temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "seed"].map((name) =>
  find(name, HTMLInputElement),
);

/** The sampling options that the user set: all else is for the server to choose. */
export function sampling() {
  /** @type {Record<string, unknown>} */
  const given = {};
  for (const field of numbers) {
    if (field.value !== "") given[field.name] = field.valueAsNumber;
  }
  const strings = stop.value.split("\n").filter(Boolean).map(unescaped);
  if (strings.length) given.stop = strings;
  return given;
}

export function systemMessage() {
  return system.value;
}

/** A number field that holds something else has no value, and would silently not be sent. */
export function hasBadNumber() {
  const bad = numbers.find((field) => field.validity.badInput);
  if (!bad) return false;
  showError(`${bad.name} is not a number.`);
  bad.setAttribute("aria-invalid", "true");
  return true;
}

/**
 * Marks the field that the server names, if there is one.
 * @param {string} name
 */
export function markField(name) {
  const field = document.getElementById(name);
  if (field && panel.contains(field)) field.setAttribute("aria-invalid", "true");
}

export function resetSettings() {
  for (const field of keptFields().filter((field) => panel.contains(field))) {
    field.value = "";
    field.removeAttribute("aria-invalid");
  }
  chooseFirstModel();
  changed();
  announce("Settings reset");
}

/** Whether the settings lie over the page, as they do on a small screen. */
export function areSettingsOpen() {
  return panel.matches(":popover-open");
}

export function closeSettings() {
  panel.hidePopover();
}

/** @param {string} line */
function unescaped(line) {
  const meaning = { n: "\n", t: "\t", "\\": "\\" };
  return line.replace(/\\([nt\\])/g, (_, letter) => meaning[/** @type {"n" | "t" | "\\"} */ (letter)]);
}
