// @ts-check
import { find } from "./elements.js";
import { isChat } from "./mode.js";

export const draft = find("draft", HTMLTextAreaElement);
const sheet = find("sheet", HTMLTextAreaElement);

/** Whether there is anything to send. */
export function hasInput() {
  return isChat() ? draft.value.trim() !== "" : sheet.value !== "";
}

/** On a touch screen the focus would open the keyboard. */
export function focusInput() {
  if (matchMedia("(pointer: fine)").matches) (isChat() ? draft : sheet).focus();
  else find("go", HTMLButtonElement).focus();
}

export function fitDraft() {
  draft.style.height = "auto";
  draft.style.height = `${draft.scrollHeight + 2}px`;
}
