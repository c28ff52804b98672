// The windows: at which steps the source's attention leads.
//
// Contract: where the edit leaves a window to the service, its choice is shown, which the alignment tells before anything
// is run, and the answer after it; moving a handle takes the window over, "auto" gives it back.

import { byId, el } from "../dom.js";
import { inWords, toSteps, toWindow } from "../windows.js";
import { twoHandled } from "./range.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Window} Window */

const KINDS = /** @type {const} */ ([
  { kind: "cross", field: "cross_replace_steps", name: "Cross-attention", hint: "keeps the layout" },
  { kind: "self", field: "self_replace_steps", name: "Self-attention", hint: "keeps the shapes" },
]);

/** @param {import("../store.js").Store} store */
export function mountWindows(store) {
  for (const { kind, field, name, hint } of KINDS) {
    const range = twoHandled({
      name,
      change: (from, to) => store.setEdit({ [kind]: toWindow(kind, from, to, stepsOf(store.state)) }),
    });
    const auto = el("input", {
      type: "checkbox",
      onchange: () => store.setEdit({ [kind]: auto.checked ? null : chosen(store.state, field) }),
    });
    const text = el("span", { class: "told" });
    byId(`window-${kind}`).replaceChildren(
      el(
        "div",
        { class: "window-head" },
        el("span", { class: "name" }, name),
        el("span", { class: "hint" }, hint),
        el("label", { class: "auto" }, auto, " auto"),
        text,
      ),
      range.element,
    );
    store.subscribe(["edit", "alignment", "made", "result", "model", "source"], (state) => {
      const steps = stepsOf(state);
      const own = state.edit[kind];
      const selected = toSteps(kind, own ?? chosen(state, field), steps);
      range.show(...selected, steps);
      range.element.classList.toggle("is-auto", own === null);
      auto.checked = own === null;
      auto.setAttribute("aria-label", `${name}: left to the service`);
      text.textContent = own === null ? `${inWords(selected, steps)}, ${origin(state, field)}` : inWords(selected, steps);
    });
  }
}

/** @param {State} state */
export function stepsOf({ source, made, model }) {
  const typed = Number(source.steps);
  const known = made?.steps ?? 20;
  return Number.isInteger(typed) && typed > 0 ? typed : (model?.defaults.num_inference_steps ?? known);
}

/** What the service told of windows: with the edit itself, once it is made, which knows more. @param {State} state */
const told = ({ alignment, result, edit }) => (result?.edit === edit ? result.windows : alignment?.windows);

/**
 * What the service takes where the edit says nothing.
 * @param {State} state
 * @param {"cross_replace_steps" | "self_replace_steps"} field
 * @returns {Window}
 */
function chosen(state, field) {
  const window = told(state)?.[field];
  return Array.isArray(window) ? window : field === "cross_replace_steps" ? [0, 0.8] : [0, 0.4];
}

/** @param {State} state @param {"cross_replace_steps" | "self_replace_steps"} field */
function origin(state, field) {
  const { from, presets } = told(state) ?? { from: null, presets: [] };
  return from?.[field] === "preset" ? `the model's preset for ${presets.join(" and ")}` : "as published";
}
