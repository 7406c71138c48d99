// @ts-check
import { find } from "./elements.js";

/**
 * The sheet's text, and which parts [start, end) of it are the model's, in order.
 * @typedef {{text: string, parts: [number, number][]}} Sheet
 */

export const area = find("sheet", HTMLTextAreaElement);
const tint = find("tint", HTMLElement);

/** @type {Sheet} */
let sheet = { text: "", parts: [] };

export function currentSheet() {
  return sheet;
}

/** @param {Sheet} content */
export function setSheet(content) {
  area.value = content.text;
  sheet = content;
  drawTint();
}

/** Keeps the model's parts the model's where the user edits around them. */
export function followEdit() {
  const [old, text] = [sheet.text, area.value];
  const shorter = Math.min(old.length, text.length);
  let head = 0;
  while (head < shorter && text[head] === old[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && text.at(-1 - tail) === old.at(-1 - tail)) tail += 1;
  const growth = text.length - old.length;
  const parts = sheet.parts
    .flatMap(([start, end]) => [
      [start, Math.min(end, head)],
      [Math.max(start, old.length - tail) + growth, end + growth],
    ])
    .filter(([start, end]) => start < end);
  sheet = { text, parts: /** @type {[number, number][]} */ (parts) };
  drawTint();
}

/** A text area makes one line break of \r\n, but only where it gets both at once. */
export function sheetWriter() {
  let isAfterReturn = false;
  return (/** @type {string} */ text) => {
    append(isAfterReturn ? text.replace(/^\n/, "") : text);
    isAfterReturn = text.endsWith("\r");
  };
}

/** @param {string} added */
function append(added) {
  const start = sheet.text.length;
  const { selectionStart, selectionEnd } = area;
  const isAtEnd = selectionStart === start && selectionEnd === start;
  // Unlike an assignment to `value`, this keeps what the user has selected.
  area.setRangeText(added, start, start, isAtEnd ? "end" : "preserve");
  const text = area.value;
  const last = sheet.parts.at(-1);
  const joined = last?.[1] === start;
  sheet = {
    text,
    parts: [...sheet.parts.slice(0, joined ? -1 : undefined), [joined ? last[0] : start, text.length]],
  };
  drawTint();
}

function drawTint() {
  tint.replaceChildren();
  let at = 0;
  for (const [start, end] of sheet.parts) {
    const mark = document.createElement("mark");
    mark.textContent = sheet.text.slice(start, end);
    tint.append(sheet.text.slice(at, start), mark);
    at = end;
  }
  // Without something after it, a final line break would have no height.
  tint.append(`${sheet.text.slice(at)}\u200b`);
}
