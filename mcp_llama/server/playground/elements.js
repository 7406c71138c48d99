// @ts-check

/**
 * The element of the page that has this id.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function find(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} #${id}.`);
  return element;
}

/**
 * A new copy of what the template of this id holds.
 * @param {string} id
 * @returns {DocumentFragment}
 */
export function fresh(id) {
  return /** @type {DocumentFragment} */ (find(id, HTMLTemplateElement).content.cloneNode(true));
}

/**
 * @template {HTMLElement} T
 * @param {ParentNode} parent
 * @param {string} selector
 * @returns {T}
 */
export function within(parent, selector) {
  return /** @type {T} */ (parent.querySelector(selector));
}
