// The state in the URL's hash, so that a link shows the same source and the same edit.
//
// Contract: fields with the service's default are omitted, and unreadable parts are ignored.

import { blankEdit } from "./store.js";

/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").Edit} Edit */
/** @typedef {import("./types.js").Window} Window */

/** @param {Source} source @param {Edit} edit @returns {string} */
export function toHash(source, edit) {
  const hash = new URLSearchParams();
  const put = (/** @type {string} */ key, /** @type {string} */ value) => value !== "" && hash.set(key, value);
  put("from", source.prompt);
  put("seed", source.seed);
  put("negative", source.negative);
  put("steps", source.steps);
  put("guidance", source.guidance);
  put("to", edit.prompt);
  put("type", edit.type === "auto" ? "" : edit.type);
  put("cross", edit.cross?.join("-") ?? "");
  put("self", edit.self?.join("-") ?? "");
  put("words", Object.entries(edit.strengths).map(([word, strength]) => `${word}*${strength}`).join(","));
  const { mode, source: from, target: to, threshold } = edit.blend;
  put("blend", mode === "off" ? "" : mode);
  if (mode === "picked") {
    put("in", from.join(","));
    put("into", to.join(","));
  }
  if (mode !== "off" && threshold !== 0.3) put("threshold", String(threshold));
  return `#${hash}`;
}

/**
 * Parses a hash; `null` if it is empty.
 * @param {string} hash
 * @returns {{source: Source, edit: Edit} | null}
 */
export function fromHash(hash) {
  const read = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (/** @type {string} */ key) => read.get(key) ?? "";
  const list = (/** @type {string} */ key) => text(key).split(",").filter((word) => word !== "");
  const prompt = text("from");
  if (prompt === "") return null;
  const edit = blankEdit(read.get("to") ?? prompt);
  const mode = text("blend");
  const threshold = Number(read.get("threshold") ?? 0.3);
  return {
    source: {
      prompt,
      negative: text("negative"),
      seed: text("seed"),
      steps: text("steps"),
      guidance: text("guidance"),
    },
    edit: {
      ...edit,
      type: ["replace", "refine", "reweight"].includes(text("type")) ? text("type") : "auto",
      cross: window(text("cross")),
      self: window(text("self")),
      strengths: Object.fromEntries(list("words").flatMap(strength)),
      blend: {
        mode: mode === "changed" || mode === "picked" ? mode : "off",
        source: list("in"),
        target: list("into"),
        threshold: threshold >= 0 && threshold < 1 ? threshold : 0.3,
      },
    },
  };
}

/** @param {string} text @returns {Window | null} */
function window(text) {
  const [lo, hi] = text.split("-").map(Number);
  return text !== "" && 0 <= lo && lo <= hi && hi <= 1 ? [lo, hi] : null;
}

/** @param {string} text @returns {[string, number][]} */
function strength(text) {
  const at = text.lastIndexOf("*");
  const value = Number(text.slice(at + 1));
  return at > 0 && Number.isFinite(value) ? [[text.slice(0, at), value]] : [];
}

/**
 * Keeps URL and state in sync; calls `opened` when a link is followed on the page itself.
 * @param {import("./store.js").Store} store
 * @param {() => void} opened
 */
export function keepLink(store, opened) {
  store.subscribe(["source", "edit"], ({ source, edit }) => {
    if (source.prompt !== "") history.replaceState(null, "", toHash(source, edit));
  });
  addEventListener("hashchange", () => {
    const state = fromHash(location.hash);
    if (state === null) return;
    store.set({ ...state, problem: null });
    opened();
  });
}
