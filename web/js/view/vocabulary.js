// The model's vocabulary, by group; a click inserts a word into the edited prompt at the caret, in place of the selection.

import { withPrompt } from "../carry.js";
import { byId, el } from "../dom.js";

/**
 * @param {import("../store.js").Store} store
 * @param {HTMLTextAreaElement} area
 */
export function mountVocabulary(store, area) {
  const insert = (/** @type {string} */ word) => {
    const { prompt } = store.state.edit;
    const [before, after] = [prompt.slice(0, area.selectionStart), prompt.slice(area.selectionEnd)];
    const head = before === "" || /\s$/u.test(before) ? before : `${before} `;
    const tail = after === "" || /^\s/u.test(after) ? after : ` ${after}`;
    store.set({ edit: withPrompt(store.state.edit, head + word + tail) });
    area.value = head + word + tail;
    area.focus();
    area.setSelectionRange(head.length + word.length, head.length + word.length);
  };
  store.subscribe(["model"], ({ model }) => {
    const groups = Object.entries(model?.vocabulary ?? {});
    byId("vocabulary").hidden = groups.length === 0;
    const chip = (/** @type {string} */ word) => el("button", { type: "button", class: "chip", onclick: () => insert(word) }, word);
    const rows = groups.flatMap(([name, words]) => [el("dt", {}, name), el("dd", {}, ...words.map(chip))]);
    byId("vocabulary-list").replaceChildren(...rows);
  });
}
