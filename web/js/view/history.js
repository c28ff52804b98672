// The edits of the current source, newest first, and the source itself; a click returns to one.
//
// Contract: returning to an edit runs nothing: its image, film and heat maps are kept.

import { byId, el } from "../dom.js";
import { blankEdit } from "../store.js";
import { summary } from "./summary.js";

/** @param {import("../store.js").Store} store */
export function mountHistory(store) {
  store.subscribe(["history", "made", "result"], ({ history, made, result }) => {
    const edits = history.filter((edit) => edit.session === made?.session);
    byId("history").hidden = made === null || edits.length === 0;
    if (made === null) return;
    const entries = edits.map((edit) => {
      const back = () => store.set({ edit: edit.edit, result: edit, problem: null });
      return thumbnail(edit.image, summary(edit.alignment, edit.edit), edit === result, back);
    });
    const source = () => store.set({ edit: blankEdit(made.prompt), result: null, problem: null });
    const list = byId("history-list");
    list.replaceChildren(...entries, thumbnail(made.image, "source", result === null, source));
    if (result === edits[0]) list.scrollLeft = 0;
  });
}

/** @param {string} image @param {string} label @param {boolean} isShown @param {() => void} back */
function thumbnail(image, label, isShown, back) {
  const button = { type: "button", onclick: back, "aria-current": isShown ? "true" : null, title: label };
  return el("li", {}, el("button", button, el("img", { src: image, alt: "" }), el("span", {}, label)));
}
