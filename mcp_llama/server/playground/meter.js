// @ts-check
/** @import { ApiRequest } from "./api.js" */
/** @import { Piece, Progress } from "./pieces.js" */
import { CHAT } from "./api.js";
import { loadedShare } from "./health.js";
import { counted, duration, SEPARATOR } from "./words.js";

/** What is known of a run, as numbers and in words. Times in milliseconds. */
export class Meter {
  /** Whether the server has begun to answer. */
  isAccepted = false;
  startedAt = performance.now();
  tokens = 0;
  hasText = false;
  /** How the run ended, in words; empty while it goes on. */
  end = "";
  #firstAt = 0;
  #lastAt = 0;
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
    if (piece.text || piece.reasoning || piece.tokens) {
      this.#lastAt = performance.now();
      this.#firstAt ||= this.#lastAt;
    }
    this.hasText ||= Boolean(piece.text || piece.reasoning);
    this.tokens = piece.usage?.completion ?? piece.tokens ?? this.tokens;
  }

  /** How far the prompt is read, while it is. */
  get reading() {
    return this.end || this.#firstAt ? undefined : this.#known.progress;
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
    if (this.#firstAt) return this.#pace().join(SEPARATOR);
    if (this.reading) return `Reading the prompt${SEPARATOR}${this.#read(this.reading)}`;
    return `Waiting for ${this.#awaited()}${SEPARATOR}${((performance.now() - this.startedAt) / 1000).toFixed(1)} s`;
  }

  /** What the run waits for before its prompt is read: the first progress comes with a slot. */
  #awaited() {
    const share = loadedShare();
    if (share) return `the model to load, ${share}`;
    return this.isAccepted ? "a free slot" : "the server";
  }

  /** @param {Progress} progress */
  #read({ processed, total, cache }) {
    return `${processed} of ${counted(total)}${cache ? `, ${cache} from the cache` : ""}`;
  }

  #pace() {
    const words = [counted(this.tokens)];
    const rate = this.#known.rate ?? (this.tokens - 1) / ((this.#lastAt - this.#firstAt) / 1000);
    if (this.tokens > 1 && Number.isFinite(rate)) words.push(`${rate.toFixed(1)} tokens/s`);
    if (this.#firstAt) words.push(`first after ${duration(this.#firstAt - this.startedAt)}`);
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
