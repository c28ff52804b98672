// Types shared by the modules, for editors and the type check; it has no code.

/**
 * What an image is made from.
 * @typedef {object} Source
 * @property {string} prompt
 * @property {string} negative
 * @property {string} seed      as typed; the service validates it
 * @property {string} steps     as typed; empty for the model's default
 * @property {string} guidance  as typed; empty for the model's default
 */

/**
 * Fractions of the steps, from and to.
 * @typedef {[number, number]} Window
 */

/**
 * Where the image may change. Words are keys, see words.js.
 * @typedef {object} Blend
 * @property {"off" | "changed" | "picked"} mode
 * @property {string[]} source
 * @property {string[]} target
 * @property {number} threshold
 */

/**
 * How a source is edited.
 * @typedef {object} Edit
 * @property {string} prompt
 * @property {string} type
 * @property {Window | null} cross  null: chosen by the service
 * @property {Window | null} self
 * @property {Record<string, number>} strengths  by key; 1 is omitted
 * @property {Blend} blend
 */

/** @typedef {"kept" | "replaced" | "added" | "removed"} Relation */

/**
 * Words of the target and the source words that they replace.
 * @typedef {object} Aligned
 * @property {string | null} target
 * @property {string | null} source
 * @property {Relation} relation
 */

/**
 * @typedef {object} Windows
 * @property {Window | Record<string, Window>} cross_replace_steps
 * @property {Window} self_replace_steps
 * @property {{cross_replace_steps: string, self_replace_steps: string}} from
 * @property {string[]} presets
 */

/** @typedef {{code: string, param: string, word?: string, detail: string}} Warning */

/**
 * @typedef {object} Alignment
 * @property {string} source_prompt  as requested
 * @property {string} prompt
 * @property {string} edit_type
 * @property {Aligned[]} alignment
 * @property {Windows} windows
 * @property {Warning[]} warnings
 */

/** @typedef {{word: string, width: number, height: number, values: number[][]}} WordAttention */

/**
 * A recorded source.
 * @typedef {object} Made
 * @property {string} key  see body.js
 * @property {string} prompt
 * @property {string} session
 * @property {string} image  data URL
 * @property {number} steps
 * @property {Frame[]} frames
 * @property {WordAttention[] | null} attention  null until it is fetched
 * @property {Warning[]} warnings
 */

/** @typedef {{step: number, image: string}} Frame */

/**
 * A finished edit.
 * @typedef {object} Result
 * @property {string} id
 * @property {string} session
 * @property {Edit} edit  as requested
 * @property {string} image  data URL
 * @property {Aligned[]} alignment
 * @property {Windows} windows
 * @property {WordAttention[]} attention
 * @property {Frame[]} frames
 * @property {Warning[]} warnings
 */

/**
 * @typedef {object} Run
 * @property {"idle" | "queued" | "source" | "edit"} phase
 * @property {number} position  in the queue
 * @property {number} step
 * @property {number} steps
 * @property {Frame[]} frames
 * @property {string} note  how the last one ended
 */

/** @typedef {{side: "source" | "target", index: number} | null} Pointed */

/**
 * @typedef {object} Model
 * @property {string} id
 * @property {{width: number, height: number, num_inference_steps: number, guidance_scale: number}} defaults
 * @property {Record<string, string[]>} vocabulary
 * @property {Record<string, any>[]} examples
 */

/**
 * @typedef {object} State
 * @property {Model | null} model
 * @property {Source} source
 * @property {Edit} edit
 * @property {Alignment | null} alignment
 * @property {import("./api.js").Problem | null} alignProblem  while typing
 * @property {import("./api.js").Problem | null} problem       of the last run
 * @property {Made | null} made
 * @property {Result | null} result
 * @property {Result[]} history  of all sources, the newest first
 * @property {Run} run
 * @property {Pointed} pointed   the word whose heat is shown
 * @property {Frame | null} frame  the step that is looked at
 */

export {};
