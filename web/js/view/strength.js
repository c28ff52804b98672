// The strength of a word: a vertical slider, as on an equalizer.
//
// Contract: 1 is in the middle and is omitted from the edit. Keys are those of a slider; Delete, or a double click,
// resets it to 1. A swipe that begins here scrolls the page, see drag.js.

import { el } from "../dom.js";
import { draggable } from "./drag.js";

const [LOWEST, HIGHEST, STEP] = [-3, 5, 0.25];
/** Height of the slider's thumb in CSS pixels: its middle is never nearer to an end than half of this. */
const THUMB_PX = 14;

/**
 * @param {import("../store.js").Store} store
 * @param {import("../words.js").Word} word
 * @returns {{element: HTMLElement, refresh: (state: import("../types.js").State) => void}}
 */
export function strengthSlider(store, { text, key }) {
  const set = (/** @type {number} */ value) => {
    const { [key]: _, ...others } = store.state.edit.strengths;
    store.setEdit({ strengths: value === 1 ? others : { ...others, [key]: value } });
  };
  const input = el("input", {
    type: "range",
    class: "strength",
    min: LOWEST,
    max: HIGHEST,
    step: STEP,
    "aria-label": `Strength of ${text}`,
    "aria-orientation": "vertical",
    oninput: () => set(Number(input.value)),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      set(1);
    },
  });
  const shown = el("span", { class: "times", "aria-hidden": true });
  const rail = el("span", { class: "rail", ondblclick: () => set(1) }, input);
  const element = el("span", { class: "fader" }, rail, shown);
  draggable(rail, ({ clientY }) => {
    const { top, height } = input.getBoundingClientRect();
    const part = 1 - (clientY - top - THUMB_PX / 2) / (height - THUMB_PX);
    const value = LOWEST + Math.min(Math.max(part, 0), 1) * (HIGHEST - LOWEST);
    input.focus({ preventScroll: true });
    set(Math.round(value / STEP) * STEP);
  });

  return {
    element,
    refresh({ edit }) {
      const value = edit.strengths[key] ?? 1;
      input.value = String(value);
      input.setAttribute("aria-valuetext", `${value} times`);
      shown.textContent = `×${value}`;
      element.classList.toggle("turned", value !== 1);
      const place = (/** @type {number} */ strength) => ((strength - LOWEST) / (HIGHEST - LOWEST)) * 100;
      const at = Math.min(Math.max(place(value), 0), 100);
      element.style.setProperty("--low", `${Math.min(at, place(1))}%`);
      element.style.setProperty("--high", `${Math.max(at, place(1))}%`);
    },
  };
}
