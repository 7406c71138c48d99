// @ts-check
/** @import { Message } from "./request.js" */
import { find } from "./elements.js";
import { draft, focusInput } from "./input.js";
import { chatRequest } from "./request.js";
import { activeRun, start } from "./run.js";
import { hasBadNumber } from "./settings.js";
import { Turn } from "./turn.js";

const chat = find("chat", HTMLElement);
const transcript = find("transcript", HTMLElement);
const welcome = find("welcome", HTMLElement);

/** @type {Turn[]} */
let turns = [];

/**
 * The conversation as it would be sent now.
 * @returns {Message[]}
 */
export function messages() {
  return [...turns.map((turn) => turn.message), { role: "user", content: draft.value }];
}

/** Sends what is in the draft. */
export function ask() {
  const content = draft.value;
  const before = turns;
  const reply = newReply();
  setTurns([...before, new Turn("user", content), reply]);
  draft.value = "";
  answerChat(reply, () => {
    setTurns(before);
    draft.value = draft.value ? `${content}\n${draft.value}` : content;
  });
}

export function newChat() {
  setTurns([]);
  draft.value = "";
}

export function showTurns() {
  const isAnswering = activeRun() !== null;
  welcome.hidden = turns.length > 0;
  transcript.setAttribute("aria-busy", String(isAnswering));
  for (const turn of turns) turn.show(turn === turns.at(-1), isAnswering);
}

/** @param {Turn[]} all */
function setTurns(all) {
  turns = all;
  transcript.replaceChildren(...turns.map((turn) => turn.element));
}

function newReply() {
  const reply = new Turn("assistant", "");
  reply.onAct("retry", retryChat);
  reply.onAct("continue", () => continueChat(reply));
  return reply;
}

function retryChat() {
  if (hasBadNumber()) return;
  const before = turns;
  const reply = newReply();
  setTurns([...before.slice(0, -1), reply]);
  answerChat(reply, () => setTurns(before));
  focusInput();
}

/** @param {Turn} reply */
function continueChat(reply) {
  if (hasBadNumber()) return;
  answerChat(reply, () => {});
  focusInput();
}

/**
 * @param {Turn} reply The last turn, which is continued if it has text.
 * @param {() => void} takeBack
 */
function answerChat(reply, takeBack) {
  const said = reply.content ? turns : turns.slice(0, -1);
  void start(chatRequest(said.map((turn) => turn.message)), {
    status: reply.status,
    scroller: chat,
    append: (text) => reply.append(text),
    reason: (text) => reply.reason(text),
    takeBack,
  });
}
