// Words to swap in: the vocabulary group of the word at the caret.
//
// Contract: without a caret in the prompt, the first word with a group is used. A click swaps the word and runs; the
// word's strength and blend choice move to the new word.

import { withPrompt } from "../carry.js";
import { byId, el } from "../dom.js";
import { groupOf, replaceWord, wordAt, wordsOf } from "../words.js";

/**
 * @param {import("../store.js").Store} store
 * @param {HTMLTextAreaElement} area
 * @param {() => void} run
 */
export function mountIdeas(store, area, run) {
  const host = byId("ideas");
  /** @type {number | null} */
  let caret = null;
  let shown = "";

  const show = () => {
    const { model, edit } = store.state;
    const vocabulary = model?.vocabulary ?? {};
    const known = (/** @type {import("../words.js").Word} */ word) => groupOf(vocabulary, word.key);
    const atCaret = caret === null ? undefined : wordAt(edit.prompt, caret);
    const word = atCaret && known(atCaret) ? atCaret : wordsOf(edit.prompt).find(known);
    const [, group] = (word && known(word)) ?? [];
    const now = JSON.stringify([edit.prompt, word?.start, group]);
    if (now === shown) return;
    shown = now;
    host.hidden = !word || !group;
    if (!word || !group) return;
    const swap = (/** @type {string} */ by) => {
      caret = word.start;
      const { edit } = store.state;
      store.set({ edit: withPrompt(edit, replaceWord(edit.prompt, word, by)) });
      run();
    };
    const others = group.filter((entry) => entry.toLowerCase() !== word.key);
    host.replaceChildren(
      el("span", { class: "instead" }, "Instead of ", el("b", {}, word.key), ":"),
      ...others.map((entry) => el("button", { type: "button", class: "chip", onclick: () => swap(entry) }, entry)),
    );
  };

  document.addEventListener("selectionchange", () => {
    if (document.activeElement !== area) return;
    caret = area.selectionStart;
    show();
  });
  store.subscribe(["model", "edit"], show);
}
