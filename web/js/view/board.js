// The board: source words above, the target words that replace them below, in the order of the target.
//
// Contract: rebuilt when the alignment changes, else refreshed, so that a slider stays while it is dragged. Relations
// are shown by position, glyph, colour, and words for screen readers. Pointing at a word, or focus on it, sets
// `state.pointed`; while blend words are picked, a click picks. If the prompts cannot be aligned, the last board stays,
// dimmed.

import { byId, el, spoken } from "../dom.js";
import { wordsOf } from "../words.js";
import { strengthSlider } from "./strength.js";

/** @typedef {import("../store.js").Store} Store */
/** @typedef {import("../types.js").State} State */
/** @typedef {(state: State) => void} Refresh */

/** @type {Record<string, {glyph: string, says: string}>} */
const RELATIONS = {
  kept: { glyph: "=", says: "is kept" },
  replaced: { glyph: "↓", says: "is replaced by" },
  added: { glyph: "+", says: "is added" },
  removed: { glyph: "−", says: "is removed" },
};

/** @param {Store} store */
export function mountBoard(store) {
  const board = byId("board");
  /** @type {Refresh[]} */
  let refreshes = [];
  store.subscribe(["alignment"], ({ alignment }) => {
    refreshes = [];
    const at = { source: 0, target: 0 };
    const pairs = (alignment?.alignment ?? []).map((entry) => pair(store, entry, at, refreshes));
    board.replaceChildren(...pairs);
    store.set({ pointed: null });
  });
  store.subscribe(["alignProblem"], ({ alignProblem }) => board.classList.toggle("is-old", alignProblem !== null));
  store.subscribe(["alignment", "edit"], (state) => refreshes.forEach((refresh) => refresh(state)));
}

/**
 * @param {Store} store
 * @param {import("../types.js").Aligned} entry
 * @param {{source: number, target: number}} at  number of words placed so far
 * @param {Refresh[]} refreshes
 */
function pair(store, { source, target, relation }, at, refreshes) {
  const { glyph, says } = RELATIONS[relation] ?? RELATIONS.kept;
  const above = wordsOf(source ?? "").map((word) => wordButton(store, word, "source", at.source++, refreshes));
  const below = wordsOf(target ?? "").map((word) => {
    const button = wordButton(store, word, "target", at.target++, refreshes);
    if (word.key === "") return el("span", { class: "cell" }, button);
    const slider = strengthSlider(store, word);
    refreshes.push(slider.refresh);
    return el("span", { class: "cell" }, button, slider.element);
  });
  const sign = el("span", { class: "sign" }, el("span", { "aria-hidden": true }, glyph), spoken(says));
  const row = (/** @type {string} */ kind, /** @type {Node[]} */ words) => el("span", { class: kind }, ...words);
  // Read as a sentence: "cat is replaced by dog", "hat is added".
  const children = relation === "added" ? [row("below", below), sign] : [row("above", above), sign, row("below", below)];
  return el("li", { class: `pair ${relation}` }, ...children);
}

/**
 * @param {Store} store
 * @param {import("../words.js").Word} word
 * @param {"source" | "target"} side
 * @param {number} index
 * @param {Refresh[]} refreshes
 */
function wordButton(store, { text, key }, side, index, refreshes) {
  const point = () => store.set({ pointed: { side, index } });
  // Ignore words that scroll under a resting pointer.
  const move = (/** @type {PointerEvent} */ event) => {
    const { pointed } = store.state;
    const isNew = pointed?.side !== side || pointed.index !== index;
    if (isNew && (event.movementX !== 0 || event.movementY !== 0)) point();
  };
  const leave = () => {
    const { pointed } = store.state;
    if (pointed?.side === side && pointed.index === index) store.set({ pointed: null });
  };
  const click = () => {
    point();
    const { blend } = store.state.edit;
    if (blend.mode !== "picked" || key === "") return;
    const words = blend[side].includes(key) ? blend[side].filter((word) => word !== key) : [...blend[side], key];
    store.setEdit({ blend: { ...blend, [side]: words } });
  };
  const button = el(
    "button",
    { type: "button", class: "word", onpointermove: move, onpointerleave: leave, onfocus: point, onblur: leave, onclick: click },
    text,
  );
  refreshes.push(({ edit: { blend } }) => {
    const picks = blend.mode === "picked" && key !== "";
    button.classList.toggle("pickable", picks);
    if (picks) button.setAttribute("aria-pressed", String(blend[side].includes(key)));
    else button.removeAttribute("aria-pressed");
  });
  return button;
}
