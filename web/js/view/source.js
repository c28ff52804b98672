// The source's settings beside its prompt, and the rule of the edit: plain fields that mirror the state.

import { byId } from "../dom.js";

/**
 * @param {import("../store.js").Store} store
 * @param {() => void} run
 */
export function mountSource(store, run) {
  const fields = /** @type {const} */ ([
    ["seed", "seed"],
    ["sampling-steps", "steps"],
    ["guidance", "guidance"],
    ["negative", "negative"],
  ]);
  for (const [id, key] of fields) {
    const input = byId(id, HTMLInputElement);
    input.addEventListener("input", () => store.setSource({ [key]: input.value }));
    store.subscribe(["source"], ({ source }) => {
      if (input.value !== source[key]) input.value = source[key];
    });
  }
  byId("dice").addEventListener("click", () => {
    // As many as PyTorch's generator distinguishes, and short enough to read.
    const [seed] = crypto.getRandomValues(new Uint16Array(1));
    store.setSource({ seed: String(seed) });
    run();
  });

  const type = byId("type", HTMLSelectElement);
  type.addEventListener("change", () => store.setEdit({ type: type.value }));
  store.subscribe(["edit"], ({ edit }) => {
    type.value = edit.type;
  });

  store.subscribe(["model"], ({ model }) => {
    if (!model) return;
    byId("model").textContent = model.id;
    byId("sampling-steps", HTMLInputElement).placeholder = String(model.defaults.num_inference_steps);
    byId("guidance", HTMLInputElement).placeholder = String(model.defaults.guidance_scale);
    byId("seed", HTMLInputElement).placeholder = "random";
  });
}
