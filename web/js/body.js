// Builds request bodies from the page's state.
//
// Contract: fields with the service's default are omitted, so that the curl command is as short as possible. A value
// that is not a number is sent as typed; the service's error then names the field.

import { apiKey } from "./key.js";
import { keysOf } from "./words.js";

/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").Edit} Edit */
/** @typedef {import("./types.js").Window} Window */

/** Number of previews to request; with the final image the film has one more. */
export const PREVIEWS = 7;

/** A number where it is one that stays what it is. @param {string} text */
function number(text) {
  const value = Number(text);
  return text.trim() === "" || Number.isNaN(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER ? text : value;
}

/**
 * @param {Source} source
 * @returns {Record<string, any>}
 */
export function sourceBody(source) {
  /** @type {Record<string, any>} */
  const body = { prompt: source.prompt };
  if (source.negative.trim()) body.negative_prompt = source.negative;
  if (source.seed.trim()) body.seed = number(source.seed);
  if (source.steps.trim()) body.num_inference_steps = number(source.steps);
  if (source.guidance.trim()) body.guidance_scale = number(source.guidance);
  return body;
}

/** Equal for sources that are the same. @param {Source} source */
export const sourceKey = (source) => JSON.stringify(sourceBody(source));

/** @param {Window} window */
const short = ([lo, hi]) => (lo === 0 ? hi : [lo, hi]);

/**
 * @param {Source} source
 * @param {Edit} edit
 * @returns {Record<string, any>}
 */
export function editBody(source, edit) {
  /** @type {Record<string, any>} */
  const body = { prompt: edit.prompt };
  if (edit.type !== "auto") body.edit_type = edit.type;
  if (edit.cross) body.cross_replace_steps = short(edit.cross);
  if (edit.self) body.self_replace_steps = short(edit.self);
  const strengths = Object.entries(edit.strengths);
  if (strengths.length > 0) body.equalizer = strengths.map(([word, strength]) => ({ word, strength }));
  const blend = blendBody(source, edit);
  if (blend !== undefined) body.local_blend = blend;
  return body;
}

/** @param {Source} from @param {Edit} edit */
function blendBody(from, { prompt, strengths, blend: { mode, source, target, threshold } }) {
  if (mode === "off") return undefined;
  /** @type {Record<string, any>} */
  const body = {};
  if (mode === "picked" && source.length > 0) body.source_words = source;
  if (mode === "picked" && target.length > 0) body.target_words = target;
  // Without words the service takes those that differ. If none differ, those with a strength are the changed ones.
  const isBare = body.source_words === undefined && body.target_words === undefined;
  const isSame = keysOf(from.prompt).join(" ") === keysOf(prompt).join(" ");
  if (isBare && isSame && Object.keys(strengths).length > 0) body.target_words = Object.keys(strengths);
  if (threshold !== 0.3) body.threshold = threshold;
  return Object.keys(body).length > 0 ? body : true;
}

/** Whether an edit changes anything; a blend alone does not. @param {Source} source @param {Edit} edit */
export function changesAnything(source, edit) {
  return edit.prompt !== source.prompt || Object.keys(edit.strengths).length > 0;
}

/**
 * An edit as a shell command.
 * @param {Source} source
 * @param {Edit} edit
 */
export function curl(source, edit) {
  const body = { source: sourceBody(source), ...editBody(source, edit) };
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl -s ${new URL("v1/edits", document.baseURI)} \\`,
    // Never show the key itself.
    ...(apiKey() === "" ? [] : ['  -H "authorization: Bearer $REPROMPT_KEY" \\']),
    "  -H 'content-type: application/json' -H 'accept: image/png' -o edit.png \\",
    `  -d '${json}'`,
  ].join("\n");
}
