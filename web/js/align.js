// Requests the alignment of the two prompts while they are typed; runs no edit.
//
// Contract: `state.alignment` belongs to the prompts that it names, which may be older than the typed ones.
// `state.alignProblem` is the problem of the typed prompts, to be shown beside them. If it is one of the service or the
// network, the request is repeated after the next run, and when the network is back.

import { Problem, isAbort, post } from "./api.js";
import { debounce } from "./dom.js";

const PAUSE_MS = 120;

/**
 * @param {import("./store.js").Store} store
 * @returns {() => void} sends the request at once
 */
export function keepAligned(store) {
  let asking = new AbortController();
  let last = "";

  const ask = async () => {
    const { source, edit } = store.state;
    const body = { source_prompt: source.prompt, prompt: edit.prompt, edit_type: edit.type };
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const answer = await (await post("v1/align", body, signal)).json();
      if (signal.aborted) return;
      const alignment = { ...answer, source_prompt: body.source_prompt, prompt: body.prompt };
      store.set({ alignment, alignProblem: null });
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      store.set({ alignProblem: error instanceof Problem ? error : new Problem({ detail: String(error) }) });
    }
  };
  const soon = debounce(ask, PAUSE_MS);

  store.subscribe(["source", "edit"], ({ source, edit }) => {
    const now = JSON.stringify([source.prompt, edit.prompt, edit.type]);
    if (now === last || (source.prompt === "" && edit.prompt === "")) return;
    last = now;
    soon();
  });
  // A problem without a field is not one of the prompts.
  const retry = () => void (store.state.alignProblem?.param === "" && ask());
  store.subscribe(["run"], ({ run, problem }) => {
    if (run.phase === "idle" && run.note !== "" && problem === null) retry();
  });
  addEventListener("online", retry);
  return () => void ask();
}
