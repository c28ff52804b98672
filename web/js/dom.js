// Making and finding elements.
//
// Contract: texts become text nodes, never markup. Styles are set by CSSOM, because the page's policy forbids style
// attributes.

/**
 * The element with this id, which must be on the page.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {{new (): T, prototype: T}} [kind]
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  const wanted = kind ?? /** @type {any} */ (HTMLElement);
  if (!(found instanceof wanted)) throw new Error(`no element #${id}`);
  return /** @type {T} */ (found);
}

/**
 * An element with attributes and children. A key `on…` is a listener; `null`, `undefined` and `false` are omitted.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Text for screen readers only.
 * @param {string} text
 */
export function spoken(text) {
  return el("span", { class: "hidden" }, text);
}

/**
 * Debounce: calls `act` once there was no call for a while.
 * @param {() => void} act
 * @param {number} millis
 */
export function debounce(act, millis) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, millis);
  };
}

/** Whether animations are allowed. */
export const mayMove = () => !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
