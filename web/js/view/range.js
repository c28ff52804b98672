// A range with two handles over the step axis: two native sliders on one track.
//
// Contract: handles are between steps, 0 to `steps`, and never cross; if they meet, nothing is selected. A swipe that
// begins on a handle scrolls the page and moves nothing.

import { el } from "../dom.js";
import { undecided } from "./drag.js";

/**
 * @param {{name: string, change: (from: number, to: number) => void}} options
 */
export function twoHandled({ name, change }) {
  const handle = (/** @type {string} */ which) => el("input", { type: "range", min: 0, step: 1, "aria-label": `${name}, ${which}` });
  const first = handle("from");
  const last = handle("to");
  const band = el("span", { class: "band" });
  const element = el("div", { class: "track" }, el("span", { class: "ticks" }), band, first, last);

  const isUndecided = undecided(element);
  let shown = { from: 0, to: 0 };
  const moved = (/** @type {HTMLInputElement} */ handle, /** @type {() => void} */ act) => () => {
    if (!isUndecided()) return act();
    handle.value = String(handle === first ? shown.from : shown.to);
  };

  first.addEventListener("input", moved(first, () => change(Math.min(Number(first.value), shown.to), shown.to)));
  last.addEventListener("input", moved(last, () => change(shown.from, Math.max(shown.from, Number(last.value)))));

  return {
    element,
    /** @param {number} from @param {number} to @param {number} steps */
    show(from, to, steps) {
      shown = { from, to };
      for (const [input, value] of /** @type {[HTMLInputElement, number][]} */ ([[first, from], [last, to]])) {
        input.max = String(steps);
        input.value = String(value);
      }
      first.setAttribute("aria-valuetext", `after step ${from} of ${steps}`);
      last.setAttribute("aria-valuetext", `to step ${to} of ${steps}`);
      // If both are at the end, the first must stay reachable.
      first.classList.toggle("on-top", from > steps / 2);
      element.style.setProperty("--steps", String(steps));
      element.style.setProperty("--from", String(from / steps));
      element.style.setProperty("--to", String(to / steps));
    },
  };
}
