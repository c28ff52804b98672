// An edit in a few words: "red → blue", "+ at night", "forest ×3", "self 0 to 0.6".

import { wordsOf } from "../words.js";

/**
 * The summary of an alignment; adjacent added or removed words are one phrase.
 * @param {import("../types.js").Aligned[]} alignment
 * @param {import("../types.js").Edit} edit
 * @returns {string}
 */
export function summary(alignment, edit) {
  /** @type {{relation: string, text: string}[]} */
  const parts = [];
  for (const { source, target, relation } of alignment) {
    const last = parts.at(-1);
    if (relation === "replaced") parts.push({ relation, text: `${source} → ${target}` });
    else if (relation === "kept") parts.push({ relation, text: "" });
    else if (last?.relation === relation) last.text += ` ${target ?? source}`;
    else parts.push({ relation, text: `${relation === "added" ? "+" : "−"} ${target ?? source}` });
  }
  const words = parts.filter((part) => part.text !== "").map((part) => part.text);
  const strengths = Object.entries(edit.strengths).map(([word, strength]) => `${word} ×${strength}`);
  const windows = /** @type {const} */ (["cross", "self"]).flatMap((kind) => (edit[kind] ? [`${kind} ${edit[kind].join(" to ")}`] : []));
  const blend = edit.blend.mode === "off" ? [] : ["local blend"];
  return [...words, ...strengths, ...windows, ...blend].join(", ") || "nothing changed";
}

/**
 * A rough alignment of two prompts, by their common beginning and end: enough for examples, without a request.
 * @param {string} from
 * @param {string} to
 * @returns {import("../types.js").Aligned[]}
 */
export function roughly(from, to) {
  const [source, target] = [wordsOf(from).map((word) => word.text), wordsOf(to).map((word) => word.text)];
  while (source.length > 0 && target.length > 0 && source[0] === target[0]) {
    source.shift();
    target.shift();
  }
  while (source.length > 0 && target.length > 0 && source.at(-1) === target.at(-1)) {
    source.pop();
    target.pop();
  }
  if (source.length === 0 && target.length === 0) return [];
  const relation = source.length === 0 ? "added" : target.length === 0 ? "removed" : "replaced";
  return [{ source: source.join(" ") || null, target: target.join(" ") || null, relation }];
}
