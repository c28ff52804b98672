// Problems, beside the field that they name.
//
// Contract: the text is the service's own. Invalid fields are marked, for screen readers too. A problem without a field
// on the page is shown by the button, and beside the image (progress.js). The message of a run is visible without
// scrolling, with its field if it has one. Any change of the state clears the problem of the last run.

import { byId } from "../dom.js";

/** The field of a path, and its control. @type {[RegExp, string, string | null][]} */
const FIELDS = [
  [/^source(\.|_)prompt$/, "source.prompt", "source-prompt"],
  [/^source\.seed$/, "source.seed", "seed"],
  [/^source\.num_inference_steps$/, "source.num_inference_steps", "sampling-steps"],
  [/^source\.guidance_scale$/, "source.guidance_scale", "guidance"],
  [/^source\.negative_prompt$/, "source.negative_prompt", "negative"],
  [/^prompt$/, "prompt", "edit-prompt"],
  [/^equalizer/, "equalizer", null],
  [/^local_blend/, "local_blend", null],
  [/^cross_replace_steps/, "cross_replace_steps", null],
  [/^self_replace_steps/, "self_replace_steps", null],
  [/^edit_type$/, "edit_type", "type"],
];

/** @param {import("../store.js").Store} store */
export function mountProblems(store) {
  const slots = [...document.querySelectorAll("[data-for]")].filter((slot) => slot instanceof HTMLElement);
  const controls = FIELDS.flatMap(([, , id]) => (id === null ? [] : [byId(id)]));

  store.subscribe(["source", "edit"], () => store.set({ problem: null }));
  store.subscribe(["problem", "alignProblem"], ({ problem, alignProblem }) => {
    const at = new Map();
    // The run's problem wins, because it knows more.
    for (const each of [alignProblem, problem]) {
      if (each) at.set(fieldOf(each.param)[0], each.message);
    }
    for (const slot of slots) slot.textContent = at.get(slot.dataset.for ?? "") ?? "";
    for (const control of controls) control.removeAttribute("aria-invalid");
    for (const each of [alignProblem, problem]) {
      const [, control] = fieldOf(each?.param ?? "");
      if (control !== null) byId(control).setAttribute("aria-invalid", "true");
    }
  });
  store.subscribe(["problem"], ({ problem }) => {
    byId("alert").textContent = problem?.message ?? "";
    if (!problem) return;
    const [field, control] = fieldOf(problem.param);
    const details = control === null ? null : byId(control).closest("details");
    if (details) details.open = true;
    const slot = slots.find((slot) => slot.dataset.for === field);
    if (control === null) {
      if (field !== "" || !isInSight(byId("status"))) slot?.scrollIntoView({ block: "nearest" });
      return;
    }
    byId(control).focus({ preventScroll: true });
    // The field comes last, because it matters more if there is no room for both.
    for (const part of [slot, byId(control)]) part?.scrollIntoView({ block: "nearest" });
  });
}

/** Whether a problem belongs to no field of the page. @param {import("../api.js").Problem} problem */
export const isGeneral = (problem) => fieldOf(problem.param)[0] === "";

/** Whether an element is in the window. On a phone the status stays below the image, which is always there. @param {HTMLElement} element */
function isInSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

/** @param {string} param @returns {[string, string | null]} */
function fieldOf(param) {
  const [, field, control] = FIELDS.find(([path]) => path.test(param)) ?? [null, "", null];
  return [field, control];
}
