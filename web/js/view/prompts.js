// The two prompts with marks on replaced, added, removed and unknown words, and on instructions of other tools.
//
// Contract: marks of an alignment are shown only for its own prompts; those of warnings stay while the user types.

import { byId } from "../dom.js";
import { keyOf, wordsOf } from "../words.js";
import { markedArea } from "./marked.js";
import { ofPrompt } from "./warnings.js";

/** @typedef {import("../types.js").State} State */

/**
 * @param {import("../store.js").Store} store
 * @param {() => void} run
 */
export function mountPrompts(store, run) {
  const source = markedArea(byId("source-field"), {
    id: "source-prompt",
    describedBy: "problem-source warning-source",
    input: (prompt) => store.setSource({ prompt }),
    enter: run,
  });
  const edit = markedArea(byId("edit-field"), {
    id: "edit-prompt",
    describedBy: "problem-prompt warning-prompt",
    input: (prompt) => store.setEdit({ prompt }),
    enter: run,
  });
  store.subscribe(["source", "edit", "alignment"], (state) => {
    source.show(state.source.prompt, marks(state, "source"));
    edit.show(state.edit.prompt, marks(state, "target"));
  });
  return { source: source.area, edit: edit.area };
}

/**
 * @param {State} state
 * @param {"source" | "target"} side
 * @returns {import("./marked.js").Mark[]}
 */
function marks(state, side) {
  const { source, edit, alignment } = state;
  if (!alignment) return [];
  const prompt = side === "source" ? source.prompt : edit.prompt;
  const warnings = ofPrompt(state, side);
  const unknown = new Set(warnings.filter((it) => it.code === "unknown_word").map((it) => keyOf(it.word ?? "")));
  const parts = warnings.filter((it) => it.code !== "unknown_word").map(({ word = "" }) => ({ from: prompt.indexOf(word), size: word.length }));
  const isPart = (/** @type {number} */ start, /** @type {number} */ end) => parts.some(({ from, size }) => from < end && start < from + size);
  const isFresh = alignment.source_prompt === source.prompt && alignment.prompt === edit.prompt;
  const relations = isFresh ? alignment.alignment.flatMap((entry) => wordsOf(entry[side] ?? "").map(() => entry.relation)) : [];
  return wordsOf(prompt).flatMap(({ start, end, key }, at) => {
    const relation = relations[at] ?? "kept";
    const kinds = [relation === "kept" ? "" : relation, unknown.has(key) || isPart(start, end) ? "unknown" : ""].filter((kind) => kind !== "");
    return kinds.length > 0 ? [{ start, end, kind: kinds.join(" ") }] : [];
  });
}
