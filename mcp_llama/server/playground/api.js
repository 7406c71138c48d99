// @ts-check
/** @import { Piece } from "./pieces.js" */
import { serverSentEvents } from "./events.js";
import { chatPiece, completionPiece } from "./pieces.js";

/** @typedef {{path: string, body: Record<string, unknown>}} ApiRequest */

export const CHAT = "v1/chat/completions";
export const COMPLETION = "generate/stream";
export const LOST = "The connection to the server was lost before the answer was complete.";
export const UNREACHABLE = "The server cannot be reached. Is it still running?";

/** An error that the server told of; `param` names the option that it is about. */
export class ServerError extends Error {
  /**
   * @param {string} message
   * @param {string | null} [param]
   */
  constructor(message, param) {
    super(message);
    this.param = param;
  }
}

/**
 * The pieces of the answer to a request, as they arrive.
 * @param {ApiRequest} request
 * @param {AbortSignal} signal
 * @param {() => void} onAccepted
 * @returns {AsyncGenerator<Piece>}
 */
export async function* answer({ path, body }, signal, onAccepted) {
  const read = path === CHAT ? chatPiece : completionPiece;
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await refusal(response);
  if (!response.body) throw new Error(LOST);
  onAccepted();
  for await (const { event, data } of serverSentEvents(response.body)) {
    if (data === "[DONE]") return;
    const content = JSON.parse(data);
    if (event === "error" || content.error) throw told(content);
    yield read(content);
  }
  throw new Error(LOST);
}

/** @param {any} body */
function told(body) {
  return new ServerError(String(body?.error?.message ?? "The server reported an error."), body?.error?.param);
}

/** @param {Response} response */
async function refusal(response) {
  const text = await response.text().catch(() => "");
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    // Not an answer of this server, but of something between.
  }
  if (body?.error?.message) return told(body);
  return new ServerError(`${response.status} ${response.statusText} ${text.slice(0, 200)}`.trim());
}
