// The progress of a run, and the button that starts and cancels it.
//
// Contract: every step is shown; screen readers announce the start, every quarter, and the end. The button cancels only
// a run that has been in progress for a moment: a second click on it, or a click just after a word was swapped in, was
// meant to run. Escape cancels at once. A problem that belongs to no field is shown here too, beside the image.

import { byId, mayMove } from "../dom.js";
import { isGeneral } from "./problems.js";

/** @typedef {import("../types.js").Run} Run */
/** @typedef {import("../types.js").State} State */

/** For how long a run is not cancelled by the button, in milliseconds. */
const MOMENT_MS = 1000;

/**
 * @param {import("../store.js").Store} store
 * @param {import("../run.js").Runner} runner
 * @param {() => void} start
 */
export function mountProgress(store, runner, start) {
  const button = byId("run", HTMLButtonElement);
  const progress = byId("progress", HTMLProgressElement);
  const live = byId("live");
  const isRunning = () => store.state.run.phase !== "idle";
  /** Whether to scroll to the picture once it changes; a run that fails at once stays where its message is. */
  let isAwaited = false;
  let said = "";
  const say = (/** @type {string} */ text) => {
    if (text !== "" && text !== said) live.textContent = text;
    said = text;
  };

  byId("words").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!isRunning()) {
      isAwaited = true;
      start();
    } else if (runner.age > MOMENT_MS) runner.cancel();
  });
  document.addEventListener("keydown", (event) => {
    const isTaken = event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]") !== null;
    if (event.key === "Escape" && isRunning() && !isTaken) runner.cancel();
  });

  store.subscribe(["run"], ({ run }) => {
    const isIdle = run.phase === "idle";
    button.textContent = isIdle ? "Run" : "Cancel";
    button.title = isIdle ? "" : "Escape cancels, too";
    button.classList.toggle("is-cancel", !isIdle);
    document.body.classList.toggle("is-busy", !isIdle);
    progress.max = run.steps || 1;
    progress.value = run.step;
    say(isIdle ? run.note : text({ ...run, step: quarter(run) }));
    if (isIdle) isAwaited = false;
    if (isAwaited && (run.phase !== "queued" || run.position > 0)) {
      isAwaited = false;
      const stage = byId("stage");
      const { top, height } = stage.getBoundingClientRect();
      if (top < -height / 2) stage.scrollIntoView({ block: "nearest", behavior: mayMove() ? "smooth" : "auto" });
    }
  });
  store.subscribe(["run", "problem", "alignProblem"], (state) => {
    const wrong = failure(state);
    const status = byId("status");
    status.textContent = wrong === null ? text(state.run) : `Failed: ${wrong.message}`;
    status.classList.toggle("problem", wrong !== null);
    status.classList.toggle("general", wrong !== null && isGeneral(wrong));
  });
}

/** What is wrong, while nothing runs: the problem of the last run, or one of the typed prompts that has no field. @param {State} state */
function failure({ run, problem, alignProblem }) {
  if (run.phase !== "idle") return null;
  if (problem !== null || alignProblem === null) return problem;
  // While the model is loading, the status already says so.
  return isGeneral(alignProblem) && alignProblem.code !== "loading" ? alignProblem : null;
}

/** @param {Run} run */
function text({ phase, position, step, steps, note }) {
  if (phase === "idle") return note || "Ready.";
  if (phase === "queued") return position > 0 ? `Queued, ${position} ahead.` : "Queued.";
  const what = phase === "source" ? "The source" : "The edit";
  return step > 0 ? `${what}: step ${step} of ${steps}` : `${what} is starting.`;
}

/** @param {Run} run */
function quarter({ step, steps }) {
  const size = Math.max(Math.floor(steps / 4), 1);
  return Math.floor(step / size) * size;
}
