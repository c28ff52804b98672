// A text area whose words can be marked, and that grows with its text.
//
// Contract: the marks are in a copy of the text behind the area, hidden from pointers, keys and screen readers; the
// page says elsewhere in words what they mean. Enter submits, because prompts are one line; shift and Enter breaks the
// line.

import { el } from "../dom.js";

/** @typedef {{start: number, end: number, kind: string}} Mark */

/**
 * @param {HTMLElement} host
 * @param {{id: string, describedBy: string, input: (text: string) => void, enter: () => void}} options
 */
export function markedArea(host, { id, describedBy, input, enter }) {
  const area = el("textarea", {
    id,
    rows: 1,
    spellcheck: "false",
    autocapitalize: "none",
    "aria-describedby": describedBy,
    oninput: () => input(area.value),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      enter();
    },
  });
  const copy = el("div", { class: "copy", "aria-hidden": true });
  host.replaceChildren(copy, area);

  return {
    area,
    /**
     * @param {string} text
     * @param {Mark[]} marks  in order, not overlapping
     */
    show(text, marks) {
      if (area.value !== text) area.value = text;
      /** @type {(Node | string)[]} */
      const parts = [];
      let at = 0;
      for (const { start, end, kind } of marks) {
        parts.push(text.slice(at, start), el("span", { class: `mark ${kind}` }, text.slice(start, end)));
        at = end;
      }
      // Something after a final line break; without it the last line would have no height.
      copy.replaceChildren(...parts, text.slice(at), "\u200b");
    },
  };
}
