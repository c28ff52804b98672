// The stage: source and edit with a wiper, or a single step, or a heat map.
//
// Contract: the wiper is a native slider over the whole picture, so it has keyboard and touch support and a role. A swipe
// that begins on the picture scrolls the page and wipes nothing. During a run the previews are shown.

import { byId } from "../dom.js";
import { paint, pointedAt } from "../heat.js";
import { undecided } from "./drag.js";

/** @typedef {import("../types.js").State} State */

/**
 * What the stage shows.
 * @typedef {object} Scene
 * @property {"empty" | "single" | "wipe" | "heat"} view
 * @property {string} [before]
 * @property {string} [after]
 * @property {string} [note]
 * @property {import("../types.js").WordAttention} [map]
 */

/** @param {import("../store.js").Store} store */
export function mountStage(store) {
  const stage = byId("stage");
  const wiper = byId("wiper", HTMLInputElement);
  const [before, after] = [byId("before", HTMLImageElement), byId("after", HTMLImageElement)];

  const wipe = () => {
    stage.style.setProperty("--wipe", `${wiper.value}%`);
    stage.classList.toggle("all-after", Number(wiper.value) < 14);
    stage.classList.toggle("all-before", Number(wiper.value) > 86);
    wiper.setAttribute("aria-valuetext", `${wiper.value} % source, ${100 - Number(wiper.value)} % edit`);
  };
  const isUndecided = undecided(wiper);
  let at = wiper.value;
  wiper.addEventListener("input", () => {
    if (isUndecided()) wiper.value = at;
    at = wiper.value;
    wipe();
  });
  wipe();
  before.addEventListener("load", () => {
    stage.style.setProperty("--aspect", `${before.naturalWidth} / ${before.naturalHeight}`);
  });

  store.subscribe(["run", "made", "result", "pointed", "frame", "source", "edit"], (state) => {
    const scene = sceneOf(state);
    stage.dataset.view = scene.view;
    byId("empty").hidden = scene.view !== "empty";
    picture(before, scene.before, altOf(scene, state));
    picture(after, scene.after, `Edit: ${state.result?.edit.prompt ?? state.edit.prompt}`);
    wiper.hidden = scene.view !== "wipe";
    byId("pill-before").hidden = byId("pill-after").hidden = scene.view !== "wipe";
    byId("pill-note").hidden = scene.note === undefined;
    byId("pill-note").textContent = scene.note ?? "";
    byId("heat").hidden = scene.view !== "heat";
    if (scene.map) paint(byId("heat", HTMLCanvasElement), scene.map);
  });
}

/** @param {Scene} scene @param {State} state */
function altOf({ view, note }, { made }) {
  return view === "heat" || note?.includes("step") ? String(note) : `Source: ${made?.prompt}`;
}

/** @param {State} state @returns {Scene} */
function sceneOf(state) {
  const { run, made, result, frame } = state;
  const latest = run.frames.at(-1)?.image;
  if (run.phase === "source" && latest) return { view: "single", before: latest, note: `source, step ${run.step} of ${run.steps}` };
  if (run.phase === "edit" && latest) return { view: "wipe", before: made?.image, after: latest };
  if (frame) return { view: "single", before: frame.image, note: `${result ? "edit" : "source"}, step ${frame.step}` };
  const heat = pointedAt(state);
  if (heat) {
    const isSource = heat.side === "source";
    const note = `where the ${isSource ? "source" : "edit"} attends to “${heat.map.word}”`;
    return { view: "heat", before: isSource ? made?.image : result?.image, note, map: heat.map };
  }
  const note = state.pointed && made ? "run to see the heat map of this word" : undefined;
  if (made && result) return { view: "wipe", before: made.image, after: result.image, note };
  return made ? { view: "single", before: made.image, note } : { view: "empty" };
}

/** @param {HTMLImageElement} image @param {string | undefined} src @param {string} alt */
function picture(image, src, alt) {
  image.hidden = src === undefined;
  if (src !== undefined && image.src !== src) image.src = src;
  image.alt = alt;
}
