// The progress of a run, and the button that starts and cancels it.
//
// Contract: every step is shown; screen readers announce the start, every quarter, and the end.

import { byId, mayMove } from "../dom.js";

/** @typedef {import("../types.js").Run} Run */

/**
 * @param {import("../store.js").Store} store
 * @param {import("../run.js").Runner} runner
 */
export function mountProgress(store, runner) {
  const button = byId("run", HTMLButtonElement);
  const progress = byId("progress", HTMLProgressElement);
  const live = byId("live");
  let said = "";
  const say = (/** @type {string} */ text) => {
    if (text !== "" && text !== said) live.textContent = text;
    said = text;
  };

  byId("words").addEventListener("submit", (event) => {
    event.preventDefault();
    if (store.state.run.phase !== "idle") return runner.cancel();
    void runner.run();
    // Scroll to the picture.
    const stage = byId("stage");
    const { top, height } = stage.getBoundingClientRect();
    if (top < -height / 2) stage.scrollIntoView({ block: "nearest", behavior: mayMove() ? "smooth" : "auto" });
  });

  store.subscribe(["run"], ({ run }) => {
    const isIdle = run.phase === "idle";
    button.textContent = isIdle ? "Run" : "Cancel";
    button.classList.toggle("is-cancel", !isIdle);
    document.body.classList.toggle("is-busy", !isIdle);
    progress.max = run.steps || 1;
    progress.value = run.step;
    byId("status").textContent = text(run);
    say(isIdle ? run.note : text({ ...run, step: quarter(run) }));
  });
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
