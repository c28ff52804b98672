// Warnings, beside the field that they are about: those of the typed prompts, and those of the last run.
//
// Contract: one line for each kind, which lists the words. The texts are the service's, except that they name the page's
// controls in place of a request's fields. A warning about the prompts is shown while its word is in them; one of a run
// is shown while its result is.

import { byId, el } from "../dom.js";
import { hasWords, keyOf } from "../words.js";

/** @typedef {import("../types.js").State} State */
/** @typedef {import("../types.js").Warning} Warning */

/** The element of a path. @type {[RegExp, string][]} */
const PLACES = [
  [/^source(\.|_)prompt$/, "warning-source"],
  [/^prompt$/, "warning-prompt"],
  [/negative_prompt$/, "warning-negative"],
  [/^equalizer/, "warning-equalizer"],
  [/^edit_type$/, "warning-type"],
  [/(?:)/, "warning-general"],
];

/** Advice that names fields of a request, and how it is done on the page. @type {[RegExp, string][]} */
const ADVICE = [
  [/^use `equalizer`.*/s, "use the slider of a word to strengthen or weaken it"],
  [/`cross_replace_steps`/, "the cross-attention window"],
];

/** The texts of several warnings of a kind, from their words and from what is after the first semicolon. @type {Record<string, (words: string, tails: string[]) => string>} */
const LINES = {
  unknown_word: (words) => `the words ${words} are not in the model's vocabulary; their effects are unpredictable`,
  prompt_syntax: (words, tails) => `${words} are read as plain text; ${tails.join("; ")}`,
};

/** @param {import("../store.js").Store} store */
export function mountWarnings(store) {
  store.subscribe(["source", "edit", "alignment", "made", "result"], (state) => {
    const warnings = current(state);
    for (const [, id] of PLACES) {
      const here = warnings.filter(({ param }) => PLACES.find(([path]) => path.test(param))?.[1] === id);
      const kinds = [...new Set(here.map(({ code }) => code))];
      const lines = kinds.map((kind) => line(kind, here.filter(({ code }) => code === kind)));
      byId(id).replaceChildren(...lines.map((text) => el("p", { class: "warning" }, text)));
    }
  });
}

/** The warnings about a prompt that apply to it as it is typed. @param {State} state @param {"source" | "target"} side @returns {Warning[]} */
export function ofPrompt({ alignment, source, edit }, side) {
  const [prompt, param] = side === "source" ? [source.prompt, "source_prompt"] : [edit.prompt, "prompt"];
  return (alignment?.warnings ?? []).filter((it) => it.param === param && it.word !== undefined && isIn(prompt, it));
}

/** @param {string} prompt @param {Warning} warning */
function isIn(prompt, { code, word = "" }) {
  return code === "unknown_word" ? hasWords(prompt, word) : prompt.includes(word);
}

/** All that apply now, each once. @param {State} state @returns {Warning[]} */
function current(state) {
  const { alignment, made, result, source, edit } = state;
  const isFresh = alignment?.source_prompt === source.prompt && alignment.prompt === edit.prompt;
  const ofTyped = isFresh ? alignment.warnings.filter((it) => it.word === undefined) : [];
  // A change of the edit, or of the source's negative prompt, makes those of the run old.
  const ofEdit = result?.edit === edit ? result.warnings : [];
  const ofSource = (made?.warnings ?? []).filter((it) => it.word === undefined || isIn(source.negative, it));
  const ofRun = [...ofSource, ...ofEdit].filter(({ param }) => !/^(source\.)?prompt$/.test(param));
  const all = [...ofPrompt(state, "source"), ...ofPrompt(state, "target"), ...ofTyped, ...ofRun];
  // Warn once about a word that is in both prompts, or that is part of an instruction.
  const parts = all.filter((it) => it.code === "prompt_syntax").map((it) => keyOf(it.word ?? ""));
  const isPart = (/** @type {Warning} */ it) => it.code === "unknown_word" && parts.includes(keyOf(it.word ?? ""));
  return all.filter((it, at) => !isPart(it) && all.findIndex(({ detail }) => detail === it.detail) === at);
}

/** @param {string} code @param {Warning[]} warnings */
function line(code, warnings) {
  const details = warnings.map(({ detail }) => detail);
  const parts = details.map((detail) => detail.split(/; (.*)/s));
  const heads = parts.map(([head]) => head);
  const advice = (/** @type {string} */ tail) => ADVICE.reduce((text, [field, control]) => text.replace(field, control), tail);
  const tails = [...new Set(parts.map(([, tail]) => tail).filter((tail) => tail !== undefined).map(advice))];
  const words = warnings.map(({ word }) => `"${word}"`).join(", ");
  const several = details.length > 1 ? LINES[code]?.(words, tails) : undefined;
  const text = several ?? [...heads, ...tails].join("; ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
