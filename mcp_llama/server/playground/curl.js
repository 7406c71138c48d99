// @ts-check
/** @import { ApiRequest } from "./api.js" */
import { messages } from "./chat.js";
import { copy } from "./clipboard.js";
import { find } from "./elements.js";
import { isChat } from "./mode.js";
import { chatRequest, completionRequest } from "./request.js";
import { sentRequest } from "./run.js";
import { currentSheet } from "./sheet.js";

const text = find("curl-text", HTMLElement);

export function showCurl() {
  const last = sentRequest();
  const next = isChat() ? chatRequest(messages()) : completionRequest(currentSheet().text);
  text.textContent = curlCommand(last ?? next);
  find("curl-when", HTMLElement).textContent = last ? "As it was sent" : "As it would be sent now";
}

export function watchCurl() {
  const button = find("curl-copy", HTMLButtonElement);
  button.addEventListener("click", () => copy(text.textContent ?? "", button));
}

/** @param {ApiRequest} request */
function curlCommand({ path, body }) {
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const url = new URL(path, document.baseURI).href;
  return [
    `curl -N ${quoted(url)}`,
    `  -H 'Content-Type: application/json'`,
    `  -d ${quoted(JSON.stringify(body, null, 2))}`,
  ].join(" \\\n");
}
