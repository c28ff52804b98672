// What went wrong, beside the field that the problem names.
//
// Contract: the text is the service's own. Fields that are at fault are marked as invalid, for readers too; a problem of
// no field on the page stands by the button. Whatever is changed takes the problem of the last run away.

import { byId } from "../dom.js";

/** The field that a path means, and the control that it is entered in. @type {[RegExp, string, string | null][]} */
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
    // That of the run, which knows more, has the last word.
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
    if (control !== null) byId(control).focus({ preventScroll: true });
    slots.find((slot) => slot.dataset.for === field)?.scrollIntoView({ block: "nearest" });
  });
}

/** @param {string} param @returns {[string, string | null]} */
function fieldOf(param) {
  const [, field, control] = FIELDS.find(([path]) => path.test(param)) ?? [null, "", null];
  return [field, control];
}
