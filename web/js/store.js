// The page's state.
//
// Contract: `set` replaces parts of the state with new values and never changes old ones in place, so an old value (in
// the history) stays as it was. Subscribers are called for the parts that they named, once per task for all changes.

/** @typedef {import("./types.js").State} State */

/** @returns {State} */
export function initial() {
  return {
    model: null,
    source: { prompt: "", negative: "", seed: "", steps: "", guidance: "" },
    edit: blankEdit(""),
    alignment: null,
    alignProblem: null,
    problem: null,
    made: null,
    result: null,
    history: [],
    run: idle(""),
    pointed: null,
    frame: null,
  };
}

/**
 * An edit that changes nothing.
 * @param {string} prompt
 * @returns {import("./types.js").Edit}
 */
export function blankEdit(prompt) {
  const blend = { mode: /** @type {const} */ ("off"), source: [], target: [], threshold: 0.3 };
  return { prompt, type: "auto", cross: null, self: null, strengths: {}, blend };
}

/**
 * Nothing runs.
 * @param {string} note
 * @returns {import("./types.js").Run}
 */
export function idle(note) {
  return { phase: "idle", position: 0, step: 0, steps: 0, frames: [], note };
}

export class Store {
  #state = initial();
  /** @type {{keys: (keyof State)[], hear: (state: State) => void}[]} */
  #subscribers = [];
  /** @type {Set<keyof State>} */
  #changed = new Set();

  get state() {
    return this.#state;
  }

  /** @param {Partial<State>} parts */
  set(parts) {
    const keys = /** @type {(keyof State)[]} */ (Object.keys(parts));
    const news = keys.filter((key) => parts[key] !== this.#state[key]);
    if (news.length === 0) return;
    this.#state = { ...this.#state, ...parts };
    if (this.#changed.size === 0) queueMicrotask(() => this.#tell());
    news.forEach((key) => this.#changed.add(key));
  }

  /** @param {Partial<State["edit"]>} parts */
  setEdit(parts) {
    this.set({ edit: { ...this.#state.edit, ...parts } });
  }

  /**
   * As long as the two prompts are equal, a change of the source's prompt also changes the edit's.
   * @param {Partial<State["source"]>} parts
   */
  setSource(parts) {
    const { source, edit } = this.#state;
    const follows = parts.prompt !== undefined && edit.prompt === source.prompt;
    this.set({ source: { ...source, ...parts }, edit: follows ? { ...edit, prompt: parts.prompt ?? "" } : edit });
  }

  /**
   * Calls `hear` now, and whenever one of the parts has changed.
   * @param {(keyof State)[]} keys
   * @param {(state: State) => void} hear
   */
  subscribe(keys, hear) {
    this.#subscribers.push({ keys, hear });
    hear(this.#state);
  }

  #tell() {
    const changed = this.#changed;
    this.#changed = new Set();
    for (const { keys, hear } of this.#subscribers) {
      if (keys.some((key) => changed.has(key))) hear(this.#state);
    }
  }
}
