// Windows: conversion between fractions of the steps, as in requests and responses, and steps, as shown on the page.
//
// Contract: bounds are truncated as the service truncates them, cross-attention over one row more than there are steps
// (as the published code does). A fraction made here is the shortest decimal that selects the given steps.

/** @typedef {import("./types.js").Window} Window */
/** @typedef {"cross" | "self"} Kind */

/** @param {Kind} kind @param {number} steps */
const rowsOf = (kind, steps) => (kind === "cross" ? steps + 1 : steps);

/**
 * The steps that a window selects: from the first up to but excluding the second, counted from 0.
 * @param {Kind} kind
 * @param {Window} window
 * @param {number} steps
 * @returns {[number, number]}
 */
export function toSteps(kind, [lo, hi], steps) {
  const rows = rowsOf(kind, steps);
  const bound = (/** @type {number} */ fraction) => Math.min(Math.trunc(fraction * rows), steps);
  return [bound(lo), bound(hi)];
}

/**
 * The window that selects steps from `from` up to but excluding `to`; off if that is none.
 * @param {Kind} kind
 * @param {number} from
 * @param {number} to
 * @param {number} steps
 * @returns {Window}
 */
export function toWindow(kind, from, to, steps) {
  return from >= to ? [0, 0] : [toFraction(kind, from, steps), toFraction(kind, to, steps)];
}

/** @param {Kind} kind @param {number} at @param {number} steps */
function toFraction(kind, at, steps) {
  if (at <= 0) return 0;
  if (at >= steps) return 1;
  const rows = rowsOf(kind, steps);
  for (const digits of [10, 100, 1000, 10_000]) {
    const fraction = Math.ceil((at / rows) * digits) / digits;
    if (Math.trunc(fraction * rows) === at) return fraction;
  }
  return (at + 0.5) / rows;
}

/**
 * In words: "steps 1 to 16 of 20".
 * @param {[number, number]} range
 * @param {number} steps
 */
export function inWords([from, to], steps) {
  if (from >= to) return "off";
  if (from === 0 && to === steps) return "all steps";
  return to - from === 1 ? `step ${to} of ${steps}` : `steps ${from + 1} to ${to} of ${steps}`;
}
