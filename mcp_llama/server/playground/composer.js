// @ts-check
import { showError } from "./alert.js";
import { changed } from "./changes.js";
import { ask, newChat } from "./chat.js";
import { canRewrite, continueSheet, newText, rewriteSheet } from "./completion.js";
import { find } from "./elements.js";
import { draft, focusInput, hasInput } from "./input.js";
import { isChat, lockMode } from "./mode.js";
import { activeRun, forgetSent } from "./run.js";
import { stopFollowing } from "./scroll.js";
import { areSettingsOpen, hasBadNumber } from "./settings.js";
import { area } from "./sheet.js";

const DOUBLE_CLICK_MS = 400;
const go = find("go", HTMLButtonElement);
const again = find("again", HTMLButtonElement);
const anew = find("new", HTMLButtonElement);

export function showButtons() {
  const isActive = activeRun() !== null;
  go.textContent = isActive ? "Stop" : isChat() ? "Send" : "Continue";
  go.classList.toggle("stop", isActive);
  // A disabled button would lose the focus.
  go.setAttribute("aria-disabled", String(!isActive && !hasInput()));
  again.hidden = isChat() || isActive || !canRewrite();
  find("new-label", HTMLElement).textContent = isChat() ? "New chat" : "New text";
  lockMode(isActive);
}

export function watchComposer() {
  go.addEventListener("click", goClicked);
  again.addEventListener("click", rewriteSheet);
  anew.addEventListener("click", startAnew);
  draft.addEventListener("keydown", draftKey);
  area.addEventListener("keydown", sheetKey);
  document.addEventListener("keydown", pageKey);
  for (const example of document.querySelectorAll(".example")) {
    example.addEventListener("click", () => {
      draft.value = example.textContent ?? "";
      send();
      focusInput();
    });
  }
}

function send() {
  if (activeRun() || !hasInput() || hasBadNumber()) return;
  if (isChat()) ask();
  else void continueSheet();
}

function startAnew() {
  activeRun()?.discard();
  showError("");
  forgetSent();
  stopFollowing();
  if (isChat()) newChat();
  else newText();
  changed();
  focusInput();
}

/** @param {MouseEvent} event */
function goClicked(event) {
  event.preventDefault();
  const run = activeRun();
  if (!run) {
    send();
    if (isChat()) focusInput();
  } else if (event.detail < 2 || run.age > DOUBLE_CLICK_MS) run.stop();
}

/** @param {KeyboardEvent} event */
function draftKey(event) {
  // While an input method composes a character, Enter is for it; Safari tells so only by the code 229.
  const isComposing = event.isComposing || event.keyCode === 229;
  if (event.key !== "Enter" || event.shiftKey || isComposing) return;
  event.preventDefault();
  send();
}

/** @param {KeyboardEvent} event */
function sheetKey(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send();
  }
}

/** @param {KeyboardEvent} event */
function pageKey(event) {
  if (event.key === "Escape" && !areSettingsOpen()) activeRun()?.stop();
}
