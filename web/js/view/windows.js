// The windows: the steps in which the source's attention is injected.
//
// Contract: if the edit does not set a window, the service's choice is shown, from the alignment before a run and from
// the response after it. Moving a handle sets the window; "auto" unsets it.

import { byId, el } from "../dom.js";
import { inWords, toSteps, toWindow } from "../windows.js";
import { twoHandled } from "./range.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Window} Window */

const KINDS = /** @type {const} */ ([
  { kind: "cross", field: "cross_replace_steps", name: "Cross-attention", hint: "keeps the layout" },
  { kind: "self", field: "self_replace_steps", name: "Self-attention", hint: "keeps the shapes" },
]);

/** The page's language is English. */
const LIST = new Intl.ListFormat("en");

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
    const text = el("span", { class: "range-text" });
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
      auto.setAttribute("aria-label", `${name}: chosen by the service`);
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

/** The service's windows: of the finished edit, or else of the alignment. @param {State} state */
const applied = ({ alignment, result, edit }) => (result?.edit === edit ? result.windows : alignment?.windows);

/**
 * The service's window if the edit sets none.
 * @param {State} state
 * @param {"cross_replace_steps" | "self_replace_steps"} field
 * @returns {Window}
 */
function chosen(state, field) {
  const window = applied(state)?.[field];
  return Array.isArray(window) ? window : field === "cross_replace_steps" ? [0, 0.8] : [0, 0.4];
}

/** @param {State} state @param {"cross_replace_steps" | "self_replace_steps"} field */
function origin(state, field) {
  const { from, presets } = applied(state) ?? { from: null, presets: [] };
  return from?.[field] === "preset" ? `the model's preset for ${LIST.format(presets)}` : "as published";
}
