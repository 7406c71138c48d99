// @ts-check
import { changed } from "./changes.js";
import { find } from "./elements.js";
import { recall } from "./memory.js";
import { SEPARATOR } from "./words.js";

/** @typedef {{id: string, status?: {value: string, failed?: boolean}}} Model */

const select = find("model", HTMLSelectElement);

/** The model that is chosen; empty before the server has named any. */
export function chosenModel() {
  return select.value;
}

/** @param {Model} model */
function label({ id, status }) {
  if (!status || status.value === "loaded") return id;
  return `${id}${SEPARATOR}${status.failed ? "failed" : status.value}`;
}

export function chooseFirstModel() {
  select.selectedIndex = 0;
}

export async function listModels() {
  const response = await fetch("v1/models").catch(() => null);
  if (!response?.ok) return;
  /** @type {{data: Model[]}} */
  const { data } = await response.json();
  const wanted = select.value || recall().fields?.model;
  select.replaceChildren(...data.map((model) => new Option(label(model), model.id, false, model.id === wanted)));
  find("welcome-model", HTMLElement).textContent = select.value || "the model";
  changed();
}
