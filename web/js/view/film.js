// The film: previews from noise to picture, on the same step axis as the windows below it.
//
// Contract: during a run, the previews so far; otherwise the film of the shown image. Pointing at a frame, or focus on
// it, sets `state.frame`.

import { PREVIEWS } from "../body.js";
import { byId, el } from "../dom.js";
import { stepsOf } from "./windows.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Frame} Frame */

/** @param {import("../store.js").Store} store */
export function mountFilm(store) {
  const film = byId("film");
  /** What is drawn. @type {(string | number)[]} */
  let drawn = [];
  store.subscribe(["run", "made", "result", "source"], (state) => {
    const steps = state.run.steps || stepsOf(state);
    const frames = framesOf(state, steps);
    // Do not touch unchanged pictures: most steps bring no preview.
    const now = [steps, ...frames.map((frame) => frame.image)];
    if (now.length === drawn.length && now.every((part, at) => part === drawn[at])) return;
    drawn = now;
    const count = Math.min(PREVIEWS, steps - 1) + 1;
    film.style.setProperty("--count", String(count));
    // Previews are evenly spaced; a frame is placed where its step ends.
    const at = (/** @type {Frame} */ frame) => Math.floor((frame.step * count) / steps) - 1;
    const cells = Array.from({ length: count }, (_, place) => cell(store, frames.find((frame) => at(frame) === place), steps));
    // A frame that has focus keeps it.
    const focused = [...film.children].findIndex((child) => child.contains(document.activeElement));
    film.replaceChildren(...cells);
    if (focused >= 0) film.children[focused]?.querySelector("button")?.focus();
  });
  store.subscribe(["run"], ({ run }) => {
    const steps = byId("steps");
    const isRunning = run.phase === "source" || run.phase === "edit";
    steps.classList.toggle("is-running", isRunning);
    steps.style.setProperty("--playhead", String(isRunning && run.steps > 0 ? run.step / run.steps : 0));
  });
}

/** @param {State} state @param {number} steps @returns {Frame[]} */
function framesOf({ run, made, result }, steps) {
  if (run.phase === "source" || run.phase === "edit") return run.frames;
  const shown = result ?? made;
  return shown === null ? [] : [...shown.frames, { step: steps, image: shown.image }];
}

/** @param {import("../store.js").Store} store @param {Frame | undefined} frame @param {number} steps */
function cell(store, frame, steps) {
  if (!frame) return el("li", { class: "cell" });
  const look = () => store.set({ frame });
  const leave = () => store.state.frame === frame && store.set({ frame: null });
  return el(
    "li",
    { class: "cell" },
    el(
      "button",
      { type: "button", "aria-label": `Step ${frame.step} of ${steps}`, onpointerenter: look, onpointerleave: leave, onfocus: look, onblur: leave, onclick: look },
      el("img", { src: frame.image, alt: "" }),
      el("span", { class: "at", "aria-hidden": true }, String(frame.step)),
    ),
  );
}
