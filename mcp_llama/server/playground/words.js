// @ts-check

/** Breaks a line only after the dot. */
export const SEPARATOR = "\u00a0· ";

/** @param {number} tokens */
export function counted(tokens) {
  return `${tokens} ${tokens === 1 ? "token" : "tokens"}`;
}

/** @param {number} milliseconds */
export function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** @param {number} [share] */
export function percent(share = 0) {
  return `${Math.floor(share * 100)} %`;
}
