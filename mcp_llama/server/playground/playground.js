// @ts-check
import { showError } from "./alert.js";
import { changed, onChange } from "./changes.js";
import { showTurns } from "./chat.js";
import { sheetEdited } from "./completion.js";
import { showButtons, watchComposer } from "./composer.js";
import { showCurl, watchCurl } from "./curl.js";
import { find } from "./elements.js";
import { watchHealth } from "./health.js";
import { fitDraft, focusInput } from "./input.js";
import { recallFields, rememberFields } from "./memory.js";
import { recallMode, showMode, watchMode } from "./mode.js";
import { activeRun, forgetSent } from "./run.js";
import { showLatest, watchScroll } from "./scroll.js";
import { closeSettings, resetSettings } from "./settings.js";
import { area, setSheet } from "./sheet.js";
import { showTheme, watchTheme } from "./theme.js";

/** @param {Event} event */
function edited(event) {
  if (event.target instanceof HTMLElement) event.target.removeAttribute("aria-invalid");
  if (event.target === area) sheetEdited();
  if (!activeRun()) forgetSent();
  changed();
}

function dismissed() {
  showError("");
  focusInput();
}

recallFields();
recallMode();
setSheet({ text: area.value, parts: [] });
showTheme();
showMode();

for (const view of [rememberFields, showTurns, showButtons, showCurl, fitDraft, showLatest]) onChange(view);
changed();

document.addEventListener("input", edited);
find("dismiss", HTMLButtonElement).addEventListener("click", dismissed);
find("reset", HTMLButtonElement).addEventListener("click", resetSettings);
matchMedia("(min-width: 60rem)").addEventListener("change", closeSettings);
for (const watch of [watchComposer, watchCurl, watchMode, watchScroll, watchTheme]) watch();
void watchHealth();
