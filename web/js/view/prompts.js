// The two prompts with marks on replaced, added, removed and unknown words.
//
// Contract: marks of an alignment are shown only for its own prompts; unknown words stay marked while the user types.

import { byId } from "../dom.js";
import { wordsOf } from "../words.js";
import { markedArea } from "./marked.js";

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
    warn(state);
  });
  return { source: source.area, edit: edit.area };
}

/**
 * @param {State} state
 * @param {"source" | "target"} side
 * @returns {import("./marked.js").Mark[]}
 */
function marks({ source, edit, alignment }, side) {
  if (!alignment) return [];
  const [prompt, param] = side === "source" ? [source.prompt, "source_prompt"] : [edit.prompt, "prompt"];
  const unknown = new Set(alignment.warnings.filter((it) => it.param === param).map((it) => it.word.toLowerCase()));
  const isFresh = alignment.source_prompt === source.prompt && alignment.prompt === edit.prompt;
  const relations = isFresh ? alignment.alignment.flatMap((entry) => wordsOf(entry[side] ?? "").map(() => entry.relation)) : [];
  return wordsOf(prompt).flatMap(({ start, end, key }, at) => {
    const relation = relations[at] ?? "kept";
    const kinds = [relation === "kept" ? "" : relation, unknown.has(key) ? "unknown" : ""].filter((kind) => kind !== "");
    return kinds.length > 0 ? [{ start, end, kind: kinds.join(" ") }] : [];
  });
}

/** @param {State} state */
function warn({ alignment, source, edit }) {
  const warnings = (/** @type {string} */ param, /** @type {string} */ prompt) => {
    const there = new Set(wordsOf(prompt).map((word) => word.key));
    return (alignment?.warnings ?? []).filter((it) => it.param === param && there.has(it.word.toLowerCase()));
  };
  const ofSource = warnings("source_prompt", source.prompt);
  // Warn once about a word that is in both prompts.
  const warned = new Set(ofSource.map((warning) => warning.word));
  const ofEdit = warnings("prompt", edit.prompt).filter((warning) => !warned.has(warning.word));
  byId("warning-source").textContent = ofSource.map(sentence).join(" ");
  byId("warning-prompt").textContent = ofEdit.map(sentence).join(" ");
}

/** @param {import("../types.js").Warning} warning */
const sentence = ({ detail }) => `${detail.charAt(0).toUpperCase()}${detail.slice(1)}.`;
