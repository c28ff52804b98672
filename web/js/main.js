// The page: mounts its parts, fetches the model, and shows the link's edit or the model's first example.
//
// Contract: parts know the store and their own elements, not each other.

import { Problem, getJson } from "./api.js";
import { keepAligned } from "./align.js";
import { withoutLost } from "./carry.js";
import { fromHash, keepLink } from "./link.js";
import { Runner } from "./run.js";
import { Store, idle } from "./store.js";
import { mountBlend } from "./view/blend.js";
import { mountBoard } from "./view/board.js";
import { exampleState, mountExamples } from "./view/examples.js";
import { mountFilm } from "./view/film.js";
import { mountKey } from "./view/key.js";
import { mountHistory } from "./view/history.js";
import { mountIdeas } from "./view/ideas.js";
import { mountProblems } from "./view/problems.js";
import { mountProgress } from "./view/progress.js";
import { mountPrompts } from "./view/prompts.js";
import { mountShare } from "./view/share.js";
import { mountSource } from "./view/source.js";
import { mountStage } from "./view/stage.js";
import { mountVocabulary } from "./view/vocabulary.js";
import { mountWarnings } from "./view/warnings.js";
import { mountWindows } from "./view/windows.js";

const store = new Store();
const runner = new Runner(store);
/** Runs a link's edit as it is, so that what is wrong with the link is shown. */
const runLinked = () => void runner.run();
/** Runs what is on the page. Words that the prompts no longer have are left out. */
const run = () => {
  const { source, edit } = store.state;
  store.set({ edit: withoutLost(source.prompt, edit) });
  void runner.run();
};

const prompts = mountPrompts(store, run);
mountIdeas(store, prompts.edit, run);
mountStage(store);
mountFilm(store);
mountWindows(store);
mountHistory(store);
mountExamples(store, run);
mountSource(store, run);
mountBoard(store);
mountBlend(store);
mountProgress(store, runner, run);
mountProblems(store);
mountWarnings(store);
mountShare(store);
mountVocabulary(store, prompts.edit);

const linked = fromHash(location.hash);
if (linked !== null) store.set(linked);
const aligns = keepAligned(store);
mountKey(store, { runs: () => void (store.state.model === null ? start() : runner.run()), aligns });
keepLink(store, runLinked);

/** Waits until the model is loaded; a large one takes minutes. */
async function loadedModel() {
  for (;;) {
    try {
      const { data: [model] } = await getJson("v1/models");
      return model;
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "loading") throw error;
      store.set({ run: idle("The model is loading.") });
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

/** Shows the link's edit, or else the model's first example. */
async function start() {
  try {
    const model = await loadedModel();
    store.set({ model, run: idle("") });
    const example = linked === null && model.examples.length > 0 ? exampleState(model.examples[0]) : null;
    if (example !== null) store.set(example);
    if (linked !== null || example !== null) runLinked();
  } catch (error) {
    store.set({ problem: error instanceof Problem ? error : new Problem({ detail: String(error) }) });
  }
}

void start();
