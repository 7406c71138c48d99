// @ts-check
/** @import { Sheet } from "./sheet.js" */
import { changed } from "./changes.js";
import { find } from "./elements.js";
import { completionRequest } from "./request.js";
import { start } from "./run.js";
import { hasBadNumber } from "./settings.js";
import { area, currentSheet, followEdit, setSheet, sheetWriter } from "./sheet.js";

const status = find("sheet-status", HTMLElement);

/** The sheet before its last continuation, while nobody has edited it since. @type {Sheet | null} */
let before = null;

export function canRewrite() {
  return before !== null;
}

/** @param {() => void} [takeBack] */
export async function continueSheet(takeBack = () => {}) {
  const then = currentSheet();
  area.readOnly = true;
  const kept = await start(completionRequest(then.text), {
    status,
    scroller: find("completion", HTMLElement),
    append: sheetWriter(),
    takeBack,
  });
  area.readOnly = false;
  before = kept && currentSheet().text !== then.text ? then : null;
  changed();
}

/** Has the last continuation written anew. */
export function rewriteSheet() {
  if (!before || hasBadNumber()) return;
  const now = currentSheet();
  setSheet(before);
  find("go", HTMLButtonElement).focus();
  void continueSheet(() => setSheet(now));
}

export function sheetEdited() {
  followEdit();
  before = null;
}

export function newText() {
  before = null;
  setSheet({ text: "", parts: [] });
  status.replaceChildren();
}
