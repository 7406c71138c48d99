// @ts-check
/** @import { ApiRequest } from "./api.js" */
/** @import { Mode } from "./mode.js" */
import { showError } from "./alert.js";
import { announce } from "./announcer.js";
import { answer, LOST, ServerError, UNREACHABLE } from "./api.js";
import { changed } from "./changes.js";
import { fresh, within } from "./elements.js";
import { watchHealth } from "./health.js";
import { Meter } from "./meter.js";
import { mode } from "./mode.js";
import { listModels } from "./models.js";
import { scrollDown } from "./scroll.js";
import { markField } from "./settings.js";
import { counted } from "./words.js";

/**
 * Where the text of a run goes. `takeBack` undoes what the run began with, for when nothing came of it.
 * @typedef {object} Target
 * @property {HTMLElement} status
 * @property {HTMLElement} scroller
 * @property {(text: string) => void} append
 * @property {(text: string) => void} [reason]
 * @property {() => void} takeBack
 */

const TICK_MS = 100;

/** @type {Run | null} */
let active = null;
/** @type {{mode: Mode, request: ApiRequest} | null} */
let sent = null;

/** The run that goes on, if one does. */
export function activeRun() {
  return active;
}

/** The last request of the mode that is shown. */
export function sentRequest() {
  return sent?.mode === mode() ? sent.request : null;
}

export function forgetSent() {
  sent = null;
}

/**
 * @param {ApiRequest} request
 * @param {Target} target
 * @returns {Promise<boolean>} Whether the user still wants what came.
 */
export async function start(request, target) {
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

/** A request that is being answered. What arrives is drawn once a frame, however fast it comes. */
class Run {
  #abort = new AbortController();
  #frame = 0;
  #pending = "";
  #pendingReasoning = "";
  #isStopped = false;
  #request;
  #target;
  #meter;
  /** Whether the user threw away what it was for. */
  isDiscarded = false;

  /**
   * @param {ApiRequest} request
   * @param {Target} target
   */
  constructor(request, target) {
    this.#request = request;
    this.#target = target;
    this.#meter = new Meter(request);
  }

  /** In milliseconds. */
  get age() {
    return performance.now() - this.#meter.startedAt;
  }

  stop() {
    this.#isStopped = true;
    this.#abort.abort();
  }

  discard() {
    this.isDiscarded = true;
    this.stop();
  }

  async perform() {
    this.#target.status.replaceChildren(fresh("status-template"));
    const clock = setInterval(() => this.#schedule(), TICK_MS);
    this.#draw();
    scrollDown(this.#target.scroller);
    /** @type {unknown} */
    let failure;
    try {
      for await (const piece of answer(this.#request, this.#abort.signal, () => (this.#meter.isAccepted = true))) {
        this.#meter.take(piece);
        this.#pending += piece.text ?? "";
        this.#pendingReasoning += piece.reasoning ?? "";
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
    const meter = this.#meter;
    meter.end = this.#isStopped ? "stopped by you" : failure ? "broken off" : meter.finish;
    this.#draw();
    if (this.#isStopped) announce(`Stopped, ${counted(meter.tokens)}`);
    else if (failure) showFailure(failure, meter.isAccepted);
    else announce(`Done, ${counted(meter.tokens)}`);
    if ((this.#isStopped || failure) && !meter.hasText) this.#target.takeBack();
    // The request may have loaded its model, and another one may have left for it.
    void listModels();
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    if (this.#pendingReasoning) this.#target.reason?.(this.#pendingReasoning);
    if (this.#pending) this.#target.append(this.#pending);
    this.#pending = this.#pendingReasoning = "";
    this.#drawStatus(this.#target.status);
  }

  /** @param {HTMLElement} status */
  #drawStatus(status) {
    /** @type {HTMLProgressElement} */
    const bar = within(status, "progress");
    const { reading } = this.#meter;
    bar.hidden = !reading;
    if (reading) {
      bar.max = reading.total;
      bar.value = reading.processed;
    }
    within(status, ".line").textContent = this.#meter.words;
  }
}

/**
 * @param {unknown} failure
 * @param {boolean} isAccepted
 */
function showFailure(failure, isAccepted) {
  // What fetch throws for a network failure differs between browsers and says nothing to a person.
  const isNetwork = failure instanceof TypeError;
  showError(isNetwork ? (isAccepted ? LOST : UNREACHABLE) : /** @type {Error} */ (failure).message);
  if (failure instanceof ServerError && failure.param) markField(failure.param);
  void watchHealth();
}
