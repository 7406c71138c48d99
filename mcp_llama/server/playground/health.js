// @ts-check
import { hasError, showError } from "./alert.js";
import { announce } from "./announcer.js";
import { UNREACHABLE } from "./api.js";
import { find } from "./elements.js";
import { listModels } from "./models.js";
import { percent, SEPARATOR } from "./words.js";

/** @typedef {{status: string, loaded?: number, model?: string, error?: string}} Health */

const POLL_MS = 1000;
const WORDS = {
  unloaded: "Unloaded",
  loading: "Loading",
  ready: "Ready",
  failed: "Failed",
  unreachable: "Offline",
};
const badge = find("health", HTMLElement);
const loading = find("loading", HTMLElement);

/** @type {Health} */
let health = { status: "connecting" };
let isWatching = false;

/** How much of the model is loaded, in words, while it is. */
export function loadedShare() {
  return health.status === "loading" ? percent(health.loaded) : undefined;
}

/** Looks until the server takes requests, so that one that comes up, or comes back, is seen. */
export async function watchHealth() {
  if (isWatching) return;
  isWatching = true;
  showHealth(await askHealth());
  while (!isServing()) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    showHealth(await askHealth());
  }
  isWatching = false;
}

/** A model that is not loaded will be by the next request. */
function isServing() {
  return health.status === "ready" || health.status === "unloaded";
}

/** @returns {Promise<Health>} */
async function askHealth() {
  try {
    const response = await fetch("health", { cache: "no-store" });
    return await response.json();
  } catch {
    return { status: "unreachable" };
  }
}

/** @param {Health} now */
function showHealth(now) {
  const { status: was } = health;
  health = now;
  const { status, loaded, model, error } = now;
  badge.dataset.state = status;
  badge.textContent = WORDS[/** @type {keyof typeof WORDS} */ (status)] ?? status;
  loading.hidden = status !== "loading";
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
  const isTold = hasError();
  if (status === "failed" && !isTold) showError(`The model failed: ${error ?? "see the server's log."}`);
  if (status === "unreachable" && !isTold) showError(UNREACHABLE);
  if (status === "loading") announce("The model is loading");
  if (status === "ready" && was !== "connecting") announce("The model is ready");
  if (isServing() && (was === "failed" || was === "unreachable")) showError("");
  if (status !== "unreachable") void listModels();
}
