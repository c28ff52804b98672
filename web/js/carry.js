// What becomes of an edit's strengths and blend words when the words of its prompts change.
//
// Contract: functions return the same edit if nothing changes. What belongs to a word that is replaced by one word moves
// to the new word, and what belongs to another word that is no longer in the prompt is removed. So an edit that these
// functions return names only words of its prompts.

import { hasWords, keysOf } from "./words.js";

/** @typedef {import("./types.js").Edit} Edit */

/**
 * The edit with another prompt, after a part of its prompt was replaced.
 * @param {Edit} edit
 * @param {string} prompt
 * @returns {Edit}
 */
export function withPrompt(edit, prompt) {
  const [old, now] = [keysOf(edit.prompt), keysOf(prompt)];
  const [gone, added] = difference(old, now);
  const heirs = gone.length === 1 ? added.filter((key) => key !== "" && !old.includes(key)) : [];
  const moved = (/** @type {string} */ key) => {
    const isLost = hasWords(edit.prompt, key) && !hasWords(prompt, key);
    return isLost ? heirs : [key];
  };
  const strengths = Object.entries(edit.strengths).flatMap(([key, strength]) => moved(key).map((heir) => [heir, strength]));
  const target = [...new Set(edit.blend.target.flatMap(moved))];
  return { ...edit, prompt, strengths: Object.fromEntries(strengths), blend: { ...edit.blend, target } };
}

/**
 * The edit without the strengths and blend words that its prompts do not have.
 * @param {string} source  the source's prompt
 * @param {Edit} edit
 * @returns {Edit}
 */
export function withoutLost(source, edit) {
  const lost = lostWords(source, edit);
  if (lost.source.length + lost.target.length + lost.strengths.length === 0) return edit;
  const { blend } = edit;
  return {
    ...edit,
    strengths: Object.fromEntries(Object.entries(edit.strengths).filter(([key]) => !lost.strengths.includes(key))),
    blend: {
      ...blend,
      source: blend.source.filter((key) => !lost.source.includes(key)),
      target: blend.target.filter((key) => !lost.target.includes(key)),
    },
  };
}

/**
 * The words of an edit that its prompts do not have. Blend words count only while they are picked.
 * @param {string} source  the source's prompt
 * @param {Edit} edit
 */
export function lostWords(source, { prompt, strengths, blend }) {
  const isPicked = blend.mode === "picked";
  return {
    source: blend.source.filter((key) => isPicked && !hasWords(source, key)),
    target: blend.target.filter((key) => isPicked && !hasWords(prompt, key)),
    strengths: Object.keys(strengths).filter((key) => !hasWords(prompt, key)),
  };
}

/**
 * The parts of two lists between their common beginning and end.
 * @param {string[]} old
 * @param {string[]} now
 */
function difference(old, now) {
  const shorter = Math.min(old.length, now.length);
  let start = 0;
  while (start < shorter && old[start] === now[start]) start++;
  let end = 0;
  while (end < shorter - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end++;
  return [old.slice(start, old.length - end), now.slice(start, now.length - end)];
}
