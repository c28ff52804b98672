// The model's examples, each a source and an edit of it; a click shows one.

import { byId, el } from "../dom.js";
import { blankEdit } from "../store.js";
import { keyOf } from "../words.js";
import { roughly, summary } from "./summary.js";

/**
 * @param {import("../store.js").Store} store
 * @param {() => void} run
 */
export function mountExamples(store, run) {
  store.subscribe(["model"], ({ model }) => {
    const examples = (model?.examples ?? []).map(exampleState);
    byId("examples").hidden = examples.length === 0;
    const items = examples.map((example) => {
      const { source, edit } = example;
      const show = () => {
        store.set({ ...example, problem: null });
        run();
      };
      const label = [
        el("span", { class: "of" }, source.prompt),
        el("span", { class: "change" }, summary(roughly(source.prompt, edit.prompt), edit)),
      ];
      return el("li", {}, el("button", { type: "button", class: "example", onclick: show }, ...label));
    });
    byId("examples-list").replaceChildren(...items);
  });
}

/**
 * An example as the page's state.
 * @param {Record<string, any>} example
 * @returns {{source: import("../types.js").Source, edit: import("../types.js").Edit}}
 */
export function exampleState({ prompt, seed, edit: to, edit_type: type, cross_replace_steps: cross, self_replace_steps: self, equalizer, local_blend: blend }) {
  const edit = blankEdit(to);
  const window = (/** @type {unknown} */ value) =>
    typeof value === "number" ? /** @type {[number, number]} */ ([0, value]) : Array.isArray(value) ? /** @type {[number, number]} */ (value) : null;
  const words = (/** @type {unknown} */ list) => (Array.isArray(list) ? list : list ? [list] : []).map((word) => keyOf(String(word)));
  const picked = blend && typeof blend === "object" ? { source: words(blend.source_words), target: words(blend.target_words) } : { source: [], target: [] };
  const isPicked = picked.source.length + picked.target.length > 0;
  return {
    source: { prompt, negative: "", seed: seed === undefined ? "" : String(seed), steps: "", guidance: "" },
    edit: {
      ...edit,
      type: type ?? "auto",
      cross: window(cross),
      self: window(self),
      strengths: Object.fromEntries((equalizer ?? []).map((/** @type {any} */ entry) => [keyOf(String(entry.word)), entry.strength])),
      blend: { ...edit.blend, ...picked, mode: isPicked ? "picked" : blend ? "changed" : "off", threshold: blend?.threshold ?? 0.3 },
    },
  };
}
