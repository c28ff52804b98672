// Runs the source, if it is not recorded yet, and then the edit, and shows their progress.
//
// Contract: one run at a time; a new one cancels the old one. Cancelling closes the stream, and the service then
// cancels the job. After a problem the picture of the previous run stays. The time of a run is what the person waited,
// from the click to the image: the queue, the source and the edit.

import { Problem, getJson, isAbort } from "./api.js";
import { PREVIEWS, changesAnything, editBody, sourceBody, sourceKey } from "./body.js";
import { events } from "./events.js";
import { idle } from "./store.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Frame} Frame */

/** Maximum number of edits in the history; each holds its image and its previews. */
const KEPT = 40;

const image = (/** @type {string} */ format, /** @type {string} */ base64) => `data:image/${format};base64,${base64}`;

export class Runner {
  /** @type {AbortController | null} */
  #running = null;
  /** When the last run started, by `performance.now()`. */
  #start = 0;

  /** @param {Store} store */
  constructor(store) {
    this.store = store;
  }

  cancel() {
    this.#running?.abort();
  }

  /** How long the run in progress has run, in milliseconds. */
  get age() {
    return performance.now() - this.#start;
  }

  async run() {
    this.cancel();
    const running = new AbortController();
    this.#running = running;
    this.#start = performance.now();
    const { store } = this;
    store.set({ problem: null, frame: null, pointed: null });
    let note = "";
    try {
      note = await this.#all(running.signal);
    } catch (error) {
      if (isAbort(error)) note = "Cancelled.";
      else if (!running.signal.aborted) {
        store.set({ problem: error instanceof Problem ? error : new Problem({ detail: String(error) }) });
      }
    }
    // A newer run sets its own state.
    if (this.#running === running) {
      this.#running = null;
      store.set({ run: idle(note) });
      // Last, so that it delays nothing.
      if (store.state.made?.attention === null) void this.#attention(store.state.made.session);
    }
  }

  /** @param {AbortSignal} signal */
  async #all(signal) {
    const { store } = this;
    const { edit } = store.state;
    let { source } = store.state;
    let note = "The edit changes nothing, so the source is shown.";
    let what = "The edit";
    if (store.state.made?.key !== sourceKey(source) || source.seed.trim() === "") {
      const { answer, frames } = await this.#stream("source", "v1/sessions", { source: sourceBody(source) }, signal);
      const { prompt, num_inference_steps: steps, seed } = answer.source;
      // The edit and the link must use exactly this source.
      source = { ...source, seed: String(seed ?? source.seed) };
      const key = sourceKey(source);
      const warnings = answer.warnings ?? [];
      const made = { key, prompt, session: answer.id, steps, frames, attention: null, image: imageOf(answer, "source"), warnings };
      store.set({ source, made, result: null });
      note = `The source took ${this.#waited()}${again(answer.recording)}.`;
      // The edit's time includes that of a source that was not recorded yet.
      if (answer.recording !== "hit") what = "The source and the edit";
    }
    if (!changesAnything(source, edit)) {
      store.set({ result: null });
      return note;
    }
    const body = { source: sourceBody(source), ...editBody(source, edit), attention: true };
    const { answer, frames } = await this.#stream("edit", "v1/edits", body, signal, store.state.made?.session);
    /** @type {import("./types.js").Result} */
    const result = {
      id: answer.id,
      session: answer.session.id,
      edit,
      image: imageOf(answer, "edit"),
      alignment: answer.alignment,
      windows: answer.windows,
      attention: answer.attention ?? [],
      frames,
      warnings: answer.warnings ?? [],
    };
    store.set({ result, history: [result, ...store.state.history].slice(0, KEPT) });
    return `${what} took ${this.#waited()}${what === "The edit" ? again(answer.session.recording) : ""}.`;
  }

  /**
   * @param {"source" | "edit"} phase
   * @param {string} path
   * @param {object} body
   * @param {AbortSignal} signal
   * @param {string} [session]  the edit's; a proxy then takes it to the replica that recorded it
   */
  async #stream(phase, path, body, signal, session) {
    /** @type {Frame[]} */
    let frames = [];
    this.#show({ ...idle(""), phase: "queued" }, signal);
    for await (const { name, data } of events(path, { ...body, stream: true, partial_images: PREVIEWS }, signal, session)) {
      if (name === "queued") this.#show({ ...idle(""), phase: "queued", position: data.position }, signal);
      if (name === "started") this.#show({ ...idle(""), phase }, signal);
      if (name === "step") {
        const { step, steps, b64_json: preview, output_format: format } = data;
        if (preview) frames = [...frames, { step, image: image(format, preview) }];
        this.#show({ phase, position: 0, step, steps, frames, note: "" }, signal);
      }
      if (name === "completed") return { answer: data, frames };
    }
    throw new Problem({ detail: "the stream ended without a result" });
  }

  /** The time since the run started, as text. */
  #waited() {
    const seconds = this.age / 1000;
    return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  }

  /** @param {import("./types.js").Run} run @param {AbortSignal} signal */
  #show(run, signal) {
    if (!signal.aborted) this.store.set({ run });
  }

  /**
   * Fetches the source's attention to its words. A model without attention maps has none.
   * @param {string} session
   */
  async #attention(session) {
    const { data } = await getJson(`v1/sessions/${session}/attention`).catch(() => ({ data: [] }));
    const { made } = this.store.state;
    if (made?.session === session) this.store.set({ made: { ...made, attention: data } });
  }
}

/** @param {any} answer @param {string} role */
function imageOf(answer, role) {
  const found = answer.data.find((/** @type {any} */ entry) => entry.role === role) ?? answer.data[0];
  // Requests leave the format at the service's default.
  return image(answer.output_format ?? "png", found.b64_json);
}

/** @param {string} recording */
const again = (recording) => (recording === "replayed" ? "; the source was recorded again" : "");
