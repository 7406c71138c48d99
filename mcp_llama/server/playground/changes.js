// @ts-check

/** @type {(() => void)[]} */
const views = [];

/**
 * Names what draws a part of the page; it is called at every change.
 * @param {() => void} view
 */
export function onChange(view) {
  views.push(view);
}

/** Brings the page in line with everything that may have changed. */
export function changed() {
  for (const view of views) view();
}
