// @ts-check

/** @typedef {"chat" | "completion"} Mode */
/** @typedef {{role: "system" | "user" | "assistant", content: string}} Message */
/** @typedef {{path: string, body: Record<string, unknown>}} ApiRequest */
/** @typedef {{total: number, cache: number, processed: number}} Progress */
/** @typedef {{prompt: number, cached: number, completion: number}} Usage */
/** @typedef {{status: string, loaded?: number, model?: string, error?: string}} Health */

/**
 * What one event of an answer says, whichever API it came from. `tokens` counts all so far.
 * @typedef {object} Piece
 * @property {Progress} [progress]
 * @property {string} [text]
 * @property {number} [tokens]
 * @property {string} [finish]
 * @property {string | null} [stop]
 * @property {number} [seed]
 * @property {Usage} [usage]
 * @property {number | null} [rate] Tokens a second, as the server measured it.
 */

/**
 * Where the text of a run goes. `takeBack` undoes what the run began with, for when nothing came of it.
 * @typedef {object} Target
 * @property {HTMLElement} status
 * @property {HTMLElement} scroller
 * @property {(text: string) => void} append
 * @property {() => void} takeBack
 */

const STORE = "mcp-llama.playground";
const NUMBERS = ["temperature", "top_p", "top_k", "min_p", "repeat_penalty", "max_tokens", "seed"];
const CHAT = "v1/chat/completions";
const COMPLETION = "generate/stream";
const POLL_MS = 1000;
const TICK_MS = 100;
const NEAR_BOTTOM_PX = 40;
const DOUBLE_CLICK_MS = 400;
/** Breaks a line only after the dot. */
const SEPARATOR = "\u00a0· ";
const LOST = "The connection to the server was lost before the answer was complete.";
const UNREACHABLE = "The server cannot be reached. Is it still running?";

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function find(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} #${id}.`);
  return element;
}

/**
 * @param {string} id
 * @returns {DocumentFragment}
 */
function fresh(id) {
  return /** @type {DocumentFragment} */ (find(id, HTMLTemplateElement).content.cloneNode(true));
}

/**
 * @template {HTMLElement} T
 * @param {ParentNode} parent
 * @param {string} selector
 * @returns {T}
 */
function within(parent, selector) {
  return /** @type {T} */ (parent.querySelector(selector));
}

const page = {
  announcer: find("announcer", HTMLElement),
  chat: find("chat", HTMLElement),
  completion: find("completion", HTMLElement),
  draft: find("draft", HTMLTextAreaElement),
  go: find("go", HTMLButtonElement),
  again: find("again", HTMLButtonElement),
  keys: find("keys", HTMLElement),
  latest: find("latest", HTMLButtonElement),
  model: find("model", HTMLSelectElement),
  modes: find("modes", HTMLFieldSetElement),
  anew: find("new", HTMLButtonElement),
  settings: find("settings", HTMLElement),
  sheet: find("sheet", HTMLTextAreaElement),
  sheetStatus: find("sheet-status", HTMLElement),
  system: find("system", HTMLTextAreaElement),
  stop: find("stop", HTMLTextAreaElement),
  theme: find("theme", HTMLButtonElement),
  tint: find("tint", HTMLElement),
  transcript: find("transcript", HTMLElement),
  welcome: find("welcome", HTMLElement),
};

/** @type {Health} */
let health = { status: "connecting" };
/** @type {Run | null} */
let active = null;
/** @type {{mode: Mode, request: ApiRequest} | null} */
let sent = null;

// What is remembered ---------------------------------------------------------------------------------------------

/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Field */
/** @typedef {{fields?: Record<string, string>, mode?: Mode, theme?: "dark" | "light"}} Memory */

/** @returns {Field[]} */
function keptFields() {
  return [.../** @type {NodeListOf<Field>} */ (document.querySelectorAll("[data-keep]"))];
}

/** @returns {Memory} */
function recall() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

/** @param {Memory} change */
function remember(change) {
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...recall(), ...change }));
  } catch {
    // A browser may forbid storage; then nothing is remembered.
  }
}

function rememberFields() {
  const fields = Object.fromEntries(keptFields().map((field) => [field.name, field.value]));
  // Before the server has named its models, the choice of the last visit stands.
  if (!page.model.options.length) fields.model = recall().fields?.model ?? "";
  remember({ fields });
}

function recallFields() {
  const { fields = {}, mode, theme } = recall();
  for (const field of keptFields()) field.value = fields[field.name] ?? "";
  const radio = page.modes.querySelector(`input[value="${mode === "completion" ? mode : "chat"}"]`);
  if (radio instanceof HTMLInputElement) radio.checked = true;
  showTheme(theme);
}

function resetSettings() {
  for (const field of keptFields().filter((field) => page.settings.contains(field))) {
    field.value = "";
    field.removeAttribute("aria-invalid");
  }
  page.model.selectedIndex = 0;
  changed();
  announce("Settings reset");
}

// Requests -------------------------------------------------------------------------------------------------------

/** @returns {Mode} */
function mode() {
  return page.modes.querySelector('[value="completion"]:checked') ? "completion" : "chat";
}

/** @param {string} line */
function unescaped(line) {
  const meaning = { n: "\n", t: "\t", "\\": "\\" };
  return line.replace(/\\([nt\\])/g, (_, letter) => meaning[/** @type {"n" | "t" | "\\"} */ (letter)]);
}

/** Only what the user set: all else is for the server to choose. */
function options() {
  /** @type {Record<string, unknown>} */
  const given = {};
  if (page.model.value) given.model = page.model.value;
  for (const name of NUMBERS) {
    const field = find(name, HTMLInputElement);
    if (field.value !== "") given[name] = field.valueAsNumber;
  }
  const stop = page.stop.value.split("\n").filter(Boolean).map(unescaped);
  if (stop.length) given.stop = stop;
  return given;
}

/**
 * @param {Message[]} turns
 * @returns {ApiRequest}
 */
function chatRequest(turns) {
  const { model, ...sampling } = options();
  const system = page.system.value;
  /** @type {Message[]} */
  const messages = system.trim() ? [{ role: "system", content: system }, ...turns] : turns;
  return {
    path: CHAT,
    body: {
      model,
      messages,
      ...sampling,
      stream: true,
      stream_options: { include_usage: true },
      return_progress: true,
    },
  };
}

/**
 * @param {string} prompt
 * @returns {ApiRequest}
 */
function completionRequest(prompt) {
  const { model, ...sampling } = options();
  return { path: COMPLETION, body: { model, prompt, ...sampling, return_progress: true } };
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

// Answers --------------------------------------------------------------------------------------------------------

/** An error that the server told of; `param` names the option that it is about. */
class ServerError extends Error {
  /**
   * @param {string} message
   * @param {string | null} [param]
   */
  constructor(message, param) {
    super(message);
    this.param = param;
  }
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

/**
 * The events of a text/event-stream, without its comments.
 * @param {ReadableStream<BufferSource>} stream
 */
async function* serverSentEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = "message";
  /** @type {string[]} */
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      // A final \r may be the first half of a line break.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = /** @type {string} */ (lines.pop());
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event, data: data.join("\n") };
          event = "message";
          data = [];
        } else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line.startsWith("event:")) event = line.slice(6).trim();
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * The pieces of the answer to a request, as they arrive.
 * @param {ApiRequest} request
 * @param {AbortSignal} signal
 * @param {() => void} onAccepted
 * @returns {AsyncGenerator<Piece>}
 */
async function* answer({ path, body }, signal, onAccepted) {
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

/**
 * @param {any} data
 * @returns {Piece}
 */
function chatPiece({ choices, prompt_progress, usage, timings }) {
  const choice = choices?.[0];
  return {
    progress: prompt_progress ?? undefined,
    text: choice?.delta?.content || undefined,
    finish: choice?.finish_reason ?? undefined,
    rate: timings?.predicted_per_second,
    usage: usage && {
      prompt: usage.prompt_tokens,
      cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
      completion: usage.completion_tokens,
    },
  };
}

/**
 * @param {any} data
 * @returns {Piece}
 */
function completionPiece(data) {
  const { prompt_progress, text, completion_tokens, finish_reason, stop, seed, usage, timings } = data;
  return {
    progress: prompt_progress ?? undefined,
    text: text || undefined,
    tokens: completion_tokens,
    finish: finish_reason ?? undefined,
    stop,
    seed,
    rate: timings?.tokens_per_second,
    usage: usage && {
      prompt: usage.prompt_tokens,
      cached: usage.cached_tokens,
      completion: usage.completion_tokens,
    },
  };
}

// Runs -----------------------------------------------------------------------------------------------------------

/** What is known of a run, as numbers and in words. Times in milliseconds. */
class Meter {
  accepted = false;
  startedAt = performance.now();
  firstAt = 0;
  lastAt = 0;
  tokens = 0;
  hasText = false;
  /** How the run ended, in words; empty while it goes on. */
  end = "";
  /** @type {Piece} */
  #known = {};
  /** What a finish for lack of room means: a chat without a limit has the whole context. */
  #full;

  /** @param {ApiRequest} request */
  constructor({ path, body }) {
    if (body.max_tokens !== undefined) this.#full = "stopped at max_tokens";
    else this.#full = path === CHAT ? "stopped where the context is full" : "stopped at the default max_tokens";
  }

  /** @param {Piece} piece */
  take(piece) {
    for (const [key, value] of Object.entries(piece)) {
      if (value !== undefined) Object.assign(this.#known, { [key]: value });
    }
    // A token of half a character has no text yet.
    if (piece.text || piece.tokens) {
      this.lastAt = performance.now();
      this.firstAt ||= this.lastAt;
      this.tokens += 1;
    }
    this.hasText ||= Boolean(piece.text);
    this.tokens = piece.usage?.completion ?? piece.tokens ?? this.tokens;
  }

  /** How far the prompt is read, while it is. */
  get reading() {
    return this.end || this.firstAt ? undefined : this.#known.progress;
  }

  /** How the model ended, in words. */
  get finish() {
    const { finish, stop } = this.#known;
    if (finish === "length") return this.#full;
    if (finish === "time") return "stopped at the time limit";
    return stop ? `stopped at “${stop}”` : "finished";
  }

  get words() {
    if (this.end) return [this.end, ...this.#pace(), ...this.#sums()].join(SEPARATOR);
    if (this.firstAt) return this.#pace().join(SEPARATOR);
    if (this.reading) return `Reading the prompt${SEPARATOR}${this.#read(this.reading)}`;
    return `${this.#waiting()}${SEPARATOR}${((performance.now() - this.startedAt) / 1000).toFixed(1)} s`;
  }

  /** @param {Progress} progress */
  #read({ processed, total, cache }) {
    return `${processed} of ${counted(total)}${cache ? `, ${cache} from the cache` : ""}`;
  }

  #waiting() {
    if (health.status === "loading") return `Waiting for the model to load, ${percent(health.loaded)}`;
    return this.accepted ? "Waiting for the first token" : "Waiting for the server";
  }

  #pace() {
    const words = [counted(this.tokens)];
    const rate = this.#known.rate ?? (this.tokens - 1) / ((this.lastAt - this.firstAt) / 1000);
    if (this.tokens > 1 && Number.isFinite(rate)) words.push(`${rate.toFixed(1)} tokens/s`);
    if (this.firstAt) words.push(`first after ${duration(this.firstAt - this.startedAt)}`);
    return words;
  }

  #sums() {
    const { usage, seed } = this.#known;
    const words = [];
    if (usage) words.push(`prompt ${counted(usage.prompt)}${usage.cached ? `, ${usage.cached} from the cache` : ""}`);
    if (seed !== undefined) words.push(`seed ${seed}`);
    return words;
  }
}

/** @param {number} tokens */
function counted(tokens) {
  return `${tokens} ${tokens === 1 ? "token" : "tokens"}`;
}

/** @param {number} milliseconds */
function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** @param {number} [share] */
function percent(share = 0) {
  return `${Math.floor(share * 100)} %`;
}

/** A request that is being answered. What arrives is drawn once a frame, however fast it comes. */
class Run {
  #abort = new AbortController();
  #frame = 0;
  #pending = "";
  #isStopped = false;
  /** Whether the user threw away what it was for. */
  isDiscarded = false;

  /**
   * @param {ApiRequest} request
   * @param {Target} target
   */
  constructor(request, target) {
    this.request = request;
    this.target = target;
    this.meter = new Meter(request);
  }

  stop() {
    this.#isStopped = true;
    this.#abort.abort();
  }

  discard() {
    this.isDiscarded = true;
    this.stop();
  }

  get age() {
    return performance.now() - this.meter.startedAt;
  }

  async perform() {
    this.target.status.replaceChildren(fresh("status-template"));
    const clock = setInterval(() => this.#schedule(), TICK_MS);
    this.#draw();
    scrollDown(this.target.scroller);
    /** @type {unknown} */
    let failure;
    try {
      for await (const piece of answer(this.request, this.#abort.signal, () => (this.meter.accepted = true))) {
        this.meter.take(piece);
        this.#pending += piece.text ?? "";
        this.#schedule();
      }
    } catch (error) {
      failure = error;
    }
    clearInterval(clock);
    this.#end(failure);
  }

  /** @param {unknown} failure */
  #end(failure) {
    cancelAnimationFrame(this.#frame);
    if (this.isDiscarded) return;
    const { meter } = this;
    meter.end = this.#isStopped ? "stopped by you" : failure ? "broken off" : meter.finish;
    this.#draw();
    if (this.#isStopped) announce(`Stopped, ${counted(meter.tokens)}`);
    else if (failure) showFailure(failure, meter.accepted);
    else announce(`Done, ${counted(meter.tokens)}`);
    if ((this.#isStopped || failure) && !meter.hasText) this.target.takeBack();
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    if (this.#pending) this.target.append(this.#pending);
    this.#pending = "";
    this.#drawStatus(this.target.status);
  }

  /** @param {HTMLElement} status */
  #drawStatus(status) {
    /** @type {HTMLProgressElement} */
    const bar = within(status, "progress");
    const { reading } = this.meter;
    bar.hidden = !reading;
    if (reading) {
      bar.max = reading.total;
      bar.value = reading.processed;
    }
    within(status, ".line").textContent = this.meter.words;
  }
}

/**
 * @param {ApiRequest} request
 * @param {Target} target
 * @returns {Promise<boolean>} Whether the user still wants what came.
 */
async function start(request, target) {
  const run = new Run(request, target);
  active = run;
  sent = { mode: mode(), request };
  showError("");
  changed();
  announce("Generating");
  await run.perform();
  active = null;
  changed();
  return !run.isDiscarded;
}

// Chat -----------------------------------------------------------------------------------------------------------

/** One message of the conversation, in the page. */
class Turn {
  /**
   * @param {"user" | "assistant"} role
   * @param {string} content
   */
  constructor(role, content) {
    this.role = role;
    this.element = within(fresh("turn-template"), "article");
    this.element.classList.add(role);
    within(this.element, "h2").textContent = role === "user" ? "You" : page.model.value || "Model";
    this.words = document.createTextNode(content);
    within(this.element, ".words").append(this.words);
    this.status = within(this.element, ".status");
    this.onAct("copy", (button) => copy(this.content, button));
    this.onAct("retry", () => retryChat());
    this.onAct("continue", () => continueChat(this));
  }

  /** @param {string} name */
  act(name) {
    return within(this.element, `[data-act="${name}"]`);
  }

  /**
   * @param {string} name
   * @param {(button: HTMLElement) => void} action
   */
  onAct(name, action) {
    const button = this.act(name);
    button.addEventListener("click", () => action(button));
  }

  get content() {
    return this.words.data;
  }

  /** @returns {Message} */
  get message() {
    return { role: this.role, content: this.content };
  }
}

/** @type {Turn[]} */
let turns = [];

/** @param {Turn[]} all */
function setTurns(all) {
  turns = all;
  page.transcript.replaceChildren(...turns.map((turn) => turn.element));
}

/**
 * The conversation as it would be sent now.
 * @returns {Message[]}
 */
function messages() {
  return [...turns.map((turn) => turn.message), { role: "user", content: page.draft.value }];
}

/** @param {string} content */
function ask(content) {
  const before = turns;
  const reply = new Turn("assistant", "");
  setTurns([...before, new Turn("user", content), reply]);
  page.draft.value = "";
  answerChat(reply, () => {
    setTurns(before);
    page.draft.value = page.draft.value ? `${content}\n${page.draft.value}` : content;
  });
}

function retryChat() {
  if (hasBadNumber()) return;
  const before = turns;
  const reply = new Turn("assistant", "");
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
    scroller: page.chat,
    append: (text) => reply.words.appendData(text),
    takeBack,
  });
}

function showTurns() {
  page.welcome.hidden = turns.length > 0;
  page.transcript.setAttribute("aria-busy", String(active !== null));
  for (const turn of turns) {
    const isLast = turn === turns.at(-1);
    const isAnswer = turn.role === "assistant";
    const isRunning = isLast && active !== null;
    turn.element.classList.toggle("running", isRunning);
    turn.element.classList.toggle("blank", isAnswer && !isRunning && !turn.content);
    turn.act("copy").hidden = isRunning || !turn.content;
    turn.act("retry").hidden = isRunning || !isLast || !isAnswer;
    turn.act("continue").hidden = isRunning || !isLast || !isAnswer || !turn.content;
  }
}

// Completion -----------------------------------------------------------------------------------------------------

/**
 * The sheet's text, and which parts [start, end) of it are the model's, in order.
 * @typedef {{text: string, parts: [number, number][]}} Sheet
 */

/** @type {Sheet} */
let sheet = { text: "", parts: [] };
/** The sheet before its last continuation, while nobody has edited it since. @type {Sheet | null} */
let before = null;

/** @param {Sheet} content */
function setSheet(content) {
  page.sheet.value = content.text;
  sheet = content;
  drawTint();
}

/** Keeps the model's parts the model's where the user edits around them. */
function sheetEdited() {
  const [old, text] = [sheet.text, page.sheet.value];
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
  before = null;
  drawTint();
}

function drawTint() {
  page.tint.replaceChildren();
  let at = 0;
  for (const [start, end] of sheet.parts) {
    const mark = document.createElement("mark");
    mark.textContent = sheet.text.slice(start, end);
    page.tint.append(sheet.text.slice(at, start), mark);
    at = end;
  }
  // Without something after it, a final line break would have no height.
  page.tint.append(`${sheet.text.slice(at)}\u200b`);
}

/** @param {string} added */
function appendToSheet(added) {
  const start = sheet.text.length;
  const { selectionStart, selectionEnd } = page.sheet;
  const isAtEnd = selectionStart === start && selectionEnd === start;
  // Unlike an assignment to `value`, this keeps what the user has selected.
  page.sheet.setRangeText(added, start, start, isAtEnd ? "end" : "preserve");
  const text = page.sheet.value;
  const last = sheet.parts.at(-1);
  const joined = last?.[1] === start;
  sheet = {
    text,
    parts: [...sheet.parts.slice(0, joined ? -1 : undefined), [joined ? last[0] : start, text.length]],
  };
  drawTint();
}

/** A text area makes one line break of \r\n, but only where it gets both at once. */
function sheetWriter() {
  let isAfterReturn = false;
  return (/** @type {string} */ text) => {
    appendToSheet(isAfterReturn ? text.replace(/^\n/, "") : text);
    isAfterReturn = text.endsWith("\r");
  };
}

/** @param {() => void} takeBack */
async function continueSheet(takeBack) {
  const then = sheet;
  page.sheet.readOnly = true;
  const kept = await start(completionRequest(then.text), {
    status: page.sheetStatus,
    scroller: page.completion,
    append: sheetWriter(),
    takeBack,
  });
  page.sheet.readOnly = false;
  before = kept && sheet.text !== then.text ? then : null;
  changed();
}

function rewriteSheet() {
  if (!before || hasBadNumber()) return;
  const now = sheet;
  setSheet(before);
  page.go.focus();
  void continueSheet(() => setSheet(now));
}

// The page -------------------------------------------------------------------------------------------------------

/** @param {HTMLElement} scroller */
function isAtBottom({ scrollHeight, scrollTop, clientHeight }) {
  return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
}

/** What keeps its end in view: all that the user has not scrolled away from it. */
const following = new Set();

/** @param {HTMLElement} scroller */
function scrollDown(scroller) {
  following.add(scroller);
  scroller.scrollTop = scroller.scrollHeight;
}

/** @param {HTMLElement} scroller */
function watchScroll(scroller) {
  const observer = new ResizeObserver(() => {
    if (following.has(scroller)) scrollDown(scroller);
    showLatest();
  });
  for (const element of [scroller, ...scroller.children]) observer.observe(element);
  scroller.addEventListener("scroll", () => {
    if (isAtBottom(scroller)) following.add(scroller);
    else following.delete(scroller);
    showLatest();
  });
}

/** @returns {HTMLElement} */
function scroller() {
  return mode() === "chat" ? page.chat : page.completion;
}

function showLatest() {
  page.latest.hidden = isAtBottom(scroller());
}

/** @param {string} text */
function announce(text) {
  page.announcer.textContent = text;
}

/** @param {string} message Empty for none. */
function showError(message) {
  find("alert", HTMLElement).hidden = !message;
  find("alert-text", HTMLElement).textContent = message;
}

/**
 * @param {unknown} failure
 * @param {boolean} accepted
 */
function showFailure(failure, accepted) {
  // What fetch throws for a network failure differs between browsers and says nothing to a person.
  const isNetwork = failure instanceof TypeError;
  showError(isNetwork ? (accepted ? LOST : UNREACHABLE) : /** @type {Error} */ (failure).message);
  if (failure instanceof ServerError && failure.param) {
    const field = document.getElementById(failure.param);
    if (field && page.settings.contains(field)) field.setAttribute("aria-invalid", "true");
  }
  void watchHealth();
}

/** A number field that holds something else has no value, and would silently not be sent. */
function hasBadNumber() {
  const bad = NUMBERS.find((name) => find(name, HTMLInputElement).validity.badInput);
  if (!bad) return false;
  showError(`${bad} is not a number.`);
  find(bad, HTMLInputElement).setAttribute("aria-invalid", "true");
  return true;
}

/**
 * @param {string} text
 * @param {HTMLElement} button
 */
async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copySelected(text);
  }
  const label = button.textContent;
  button.textContent = "Copied";
  announce("Copied");
  setTimeout(() => (button.textContent = label), 1500);
}

/** Pages that came neither over https nor from this machine have no clipboard API. @param {string} text */
function copySelected(text) {
  const holder = document.createElement("textarea");
  const focused = document.activeElement;
  holder.value = text;
  document.body.append(holder);
  holder.select();
  document.execCommand("copy");
  holder.remove();
  if (focused instanceof HTMLElement) focused.focus();
}

/** @param {"dark" | "light" | undefined} theme */
function showTheme(theme) {
  const isDark = theme ? theme === "dark" : systemDark.matches;
  document.documentElement.dataset.theme = theme ?? "";
  page.theme.setAttribute("aria-pressed", String(isDark));
}

function toggleTheme() {
  const dark = page.theme.getAttribute("aria-pressed") !== "true";
  // A choice that agrees with the system follows it from then on.
  const theme = dark === systemDark.matches ? undefined : dark ? "dark" : "light";
  remember({ theme });
  showTheme(theme);
}

function showCurl() {
  const last = sent?.mode === mode() ? sent.request : null;
  const next = mode() === "chat" ? chatRequest(messages()) : completionRequest(page.sheet.value);
  find("curl-text", HTMLElement).textContent = curlCommand(last ?? next);
  find("curl-when", HTMLElement).textContent = last ? "As it was sent" : "As it would be sent now";
}

function showButtons() {
  const isChat = mode() === "chat";
  page.go.textContent = active ? "Stop" : isChat ? "Send" : "Continue";
  page.go.classList.toggle("stop", active !== null);
  // A disabled button would lose the focus.
  page.go.setAttribute("aria-disabled", String(!active && !hasInput()));
  page.again.hidden = isChat || active !== null || before === null;
  find("new-label", HTMLElement).textContent = isChat ? "New chat" : "New text";
  page.modes.disabled = active !== null;
}

function showMode() {
  const isChat = mode() === "chat";
  document.body.dataset.mode = mode();
  page.chat.hidden = !isChat;
  page.completion.hidden = isChat;
  page.draft.hidden = !isChat;
  page.sheetStatus.hidden = isChat;
  find("system-field", HTMLElement).hidden = !isChat;
  const enter = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘ Enter" : "Ctrl Enter";
  page.keys.textContent = isChat
    ? "Enter sends · Shift Enter starts a new line · Esc stops"
    : `${enter} continues · Esc stops`;
}

function fitDraft() {
  page.draft.style.height = "auto";
  page.draft.style.height = `${page.draft.scrollHeight + 2}px`;
}

/** Brings the page in line with everything that may have changed. */
function changed() {
  rememberFields();
  showTurns();
  showButtons();
  showCurl();
  fitDraft();
  showLatest();
}

/** On a touch screen the focus would open the keyboard. */
function focusInput() {
  if (matchMedia("(pointer: fine)").matches) (mode() === "chat" ? page.draft : page.sheet).focus();
  else page.go.focus();
}

function hasInput() {
  return mode() === "chat" ? page.draft.value.trim() !== "" : page.sheet.value !== "";
}

function send() {
  if (active || !hasInput() || hasBadNumber()) return;
  if (mode() === "chat") ask(page.draft.value);
  else void continueSheet(() => {});
}

function startAnew() {
  active?.discard();
  showError("");
  sent = null;
  following.delete(scroller());
  if (mode() === "chat") {
    setTurns([]);
    page.draft.value = "";
  } else {
    before = null;
    setSheet({ text: "", parts: [] });
    page.sheetStatus.replaceChildren();
  }
  changed();
  focusInput();
}

// The server -----------------------------------------------------------------------------------------------------

/** @returns {Promise<Health>} */
async function askHealth() {
  try {
    const response = await fetch("health", { cache: "no-store" });
    return await response.json();
  } catch {
    return { status: "unreachable" };
  }
}

let isWatching = false;

/** Looks until the server is ready, so that one that comes up, or comes back, is seen. */
async function watchHealth() {
  if (isWatching) return;
  isWatching = true;
  showHealth(await askHealth());
  while (health.status !== "ready") {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    showHealth(await askHealth());
  }
  isWatching = false;
}

/** @param {Health} now */
function showHealth(now) {
  const { status: was } = health;
  health = now;
  const { status, loaded, model, error } = now;
  const words = { loading: "Loading", ready: "Ready", failed: "Failed", unreachable: "Offline" };
  const badge = find("health", HTMLElement);
  badge.dataset.state = status;
  badge.textContent = words[/** @type {keyof typeof words} */ (status)] ?? status;
  find("loading", HTMLElement).hidden = status !== "loading";
  find("loading-text", HTMLElement).textContent = `Loading ${model}${SEPARATOR}${percent(loaded)}`;
  find("loading-bar", HTMLProgressElement).value = loaded ?? 0;
  if (status !== was) healthChanged(was, error);
}

/**
 * @param {string} was
 * @param {string} [error]
 */
function healthChanged(was, error) {
  const { status } = health;
  // The failure of a request has already told why.
  const isTold = !find("alert", HTMLElement).hidden;
  if (status === "failed" && !isTold) showError(`The model failed: ${error ?? "see the server's log."}`);
  if (status === "unreachable" && !isTold) showError(UNREACHABLE);
  if (status === "loading") announce("The model is loading");
  if (status === "ready" && was !== "connecting") announce("The model is ready");
  if (status === "ready" && (was === "failed" || was === "unreachable")) showError("");
  if (status !== "unreachable") void listModels();
}

async function listModels() {
  const response = await fetch("v1/models").catch(() => null);
  if (!response?.ok) return;
  /** @type {{data: {id: string}[]}} */
  const { data } = await response.json();
  const wanted = page.model.value || recall().fields?.model;
  page.model.replaceChildren(...data.map(({ id }) => new Option(id, id, false, id === wanted)));
  find("welcome-model", HTMLElement).textContent = page.model.value || "the model";
  changed();
}

// Beginning ------------------------------------------------------------------------------------------------------

const systemDark = matchMedia("(prefers-color-scheme: dark)");

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
  if (event.key === "Escape" && !page.settings.matches(":popover-open")) active?.stop();
}

/** @param {MouseEvent} event */
function goClicked(event) {
  event.preventDefault();
  if (!active) {
    send();
    if (mode() === "chat") focusInput();
  } else if (event.detail < 2 || active.age > DOUBLE_CLICK_MS) active.stop();
}

/** @param {Event} event */
function edited(event) {
  if (event.target instanceof HTMLElement) event.target.removeAttribute("aria-invalid");
  if (event.target === page.sheet) sheetEdited();
  if (!active) sent = null;
  changed();
}

function listen() {
  document.addEventListener("input", edited);
  document.addEventListener("keydown", pageKey);
  page.draft.addEventListener("keydown", draftKey);
  page.sheet.addEventListener("keydown", sheetKey);
  page.go.addEventListener("click", goClicked);
  page.again.addEventListener("click", rewriteSheet);
  page.anew.addEventListener("click", startAnew);
  page.theme.addEventListener("click", toggleTheme);
  systemDark.addEventListener("change", () => showTheme(recall().theme));
  page.latest.addEventListener("click", () => scrollDown(scroller()));
  watchScroll(page.chat);
  watchScroll(page.completion);
  page.modes.addEventListener("change", () => {
    remember({ mode: mode() });
    showMode();
    changed();
  });
  find("dismiss", HTMLButtonElement).addEventListener("click", () => {
    showError("");
    focusInput();
  });
  find("reset", HTMLButtonElement).addEventListener("click", resetSettings);
  const copyCurl = find("curl-copy", HTMLButtonElement);
  copyCurl.addEventListener("click", () => copy(find("curl-text", HTMLElement).textContent ?? "", copyCurl));
  for (const example of document.querySelectorAll(".example")) {
    example.addEventListener("click", () => {
      page.draft.value = example.textContent ?? "";
      send();
      focusInput();
    });
  }
  matchMedia("(min-width: 60rem)").addEventListener("change", () => page.settings.hidePopover());
}

recallFields();
setSheet({ text: page.sheet.value, parts: [] });
showMode();
changed();
listen();
void watchHealth();
