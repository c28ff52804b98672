// Local blend: where the image may change.
//
// Contract: picking starts from the words that differ. A picked word, or a strength's, that is not in a prompt is listed
// here until it is removed, or until the next run removes it: nothing that is sent to the service is hidden.

import { lostWords } from "../carry.js";
import { byId, el } from "../dom.js";
import { wordsOf } from "../words.js";

/** @typedef {import("../store.js").Store} Store */
/** @typedef {import("../types.js").State} State */

/** @param {Store} store */
export function mountBlend(store) {
  const threshold = byId("threshold", HTMLInputElement);
  const radios = [...document.querySelectorAll('input[name="blend"]')].filter((it) => it instanceof HTMLInputElement);
  for (const radio of radios) {
    radio.addEventListener("change", () => {
      const { blend } = store.state.edit;
      const mode = /** @type {import("../types.js").Blend["mode"]} */ (radio.value);
      const isFresh = mode === "picked" && blend.source.length + blend.target.length === 0;
      store.setEdit({ blend: { ...blend, mode, ...(isFresh ? differing(store.state) : {}) } });
    });
  }
  threshold.addEventListener("input", () => {
    store.setEdit({ blend: { ...store.state.edit.blend, threshold: Number(threshold.value) } });
  });

  store.subscribe(["edit", "source"], (state) => {
    const { blend } = state.edit;
    for (const radio of radios) radio.checked = radio.value === blend.mode;
    byId("threshold-label").hidden = blend.mode === "off";
    threshold.value = String(blend.threshold);
    byId("threshold-value").textContent = String(blend.threshold);
    const words = lostWords(state.source.prompt, state.edit);
    const lost = [
      ...words.source.map((word) => pick(store, "source", word)),
      ...words.target.map((word) => pick(store, "target", word)),
      ...words.strengths.map((word) => turned(store, word)),
    ];
    const isEmpty = blend.mode === "picked" && blend.source.length + blend.target.length === 0;
    const hint = isEmpty ? "Click words above to pick them. Until then, the changed words are used." : "Click words above to pick them.";
    const label = lost.length > 0 ? "Not in the prompts, so the next run leaves them out:" : "";
    byId("picked").replaceChildren(blend.mode === "picked" ? hint : "", " ", label, ...lost);
  });
}

/** @param {State} state */
function differing({ alignment, source, edit }) {
  // An alignment of older prompts does not apply. Without words the service takes those that differ.
  if (alignment?.source_prompt !== source.prompt || alignment.prompt !== edit.prompt) return {};
  const keys = (/** @type {"source" | "target"} */ side) =>
    alignment.alignment
      .filter((entry) => entry.relation !== "kept")
      .flatMap((entry) => wordsOf(entry[side] ?? "").map((word) => word.key))
      .filter((key) => key !== "");
  return { source: keys("source"), target: keys("target") };
}

/** @param {Store} store @param {"source" | "target"} side @param {string} word */
function pick(store, side, word) {
  return chip(word, () => {
    const { blend } = store.state.edit;
    store.setEdit({ blend: { ...blend, [side]: blend[side].filter((other) => other !== word) } });
  });
}

/** @param {Store} store @param {string} word */
function turned(store, word) {
  return chip(`${word} ×${store.state.edit.strengths[word]}`, () => {
    const { [word]: _, ...strengths } = store.state.edit.strengths;
    store.setEdit({ strengths });
  });
}

/** @param {string} text @param {() => void} remove */
function chip(text, remove) {
  const button = el("button", { type: "button", onclick: remove, "aria-label": `Take out ${text}` }, "✕");
  return el("span", { class: "chip lost" }, text, " ", button);
}
