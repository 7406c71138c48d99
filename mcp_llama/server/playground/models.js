// @ts-check
import { changed } from "./changes.js";
import { find } from "./elements.js";
import { recall } from "./memory.js";

const select = find("model", HTMLSelectElement);

/** The model that is chosen; empty before the server has named any. */
export function chosenModel() {
  return select.value;
}

export function chooseFirstModel() {
  select.selectedIndex = 0;
}

export async function listModels() {
  const response = await fetch("v1/models").catch(() => null);
  if (!response?.ok) return;
  /** @type {{data: {id: string}[]}} */
  const { data } = await response.json();
  const wanted = select.value || recall().fields?.model;
  select.replaceChildren(...data.map(({ id }) => new Option(id, id, false, id === wanted)));
  find("welcome-model", HTMLElement).textContent = select.value || "the model";
  changed();
}
