// The dialog for an API key.
//
// Contract: it opens with a message when a call is refused without a valid key, and by the button, which is
// shown from then on. A refused call is retried with the new key.

import { apiKey, setApiKey } from "../key.js";
import { byId } from "../dom.js";

/**
 * @param {import("../store.js").Store} store
 * @param {{runs: () => void, aligns: () => void}} again
 */
export function mountKey(store, again) {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const field = byId("key", HTMLInputElement);
  const button = byId("key-button");
  button.hidden = apiKey() === "";

  /** @param {string} why */
  const ask = (why) => {
    byId("key-why").textContent = why;
    button.hidden = false;
    if (!dialog.open) dialog.showModal();
    field.select();
  };
  button.addEventListener("click", () => ask(""));
  byId("key-cancel").addEventListener("click", () => dialog.close());
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!setApiKey(field.value)) {
      ask("A key contains only ASCII letters, digits and symbols, without spaces.");
      return;
    }
    dialog.close();
    const { problem, alignProblem } = store.state;
    store.set({ problem: null, alignProblem: null });
    if (problem?.code === "unauthorized") again.runs();
    if (alignProblem?.code === "unauthorized") again.aligns();
  });
  store.subscribe(["problem", "alignProblem"], ({ problem, alignProblem }) => {
    const refused = [problem, alignProblem].find((each) => each?.code === "unauthorized");
    if (refused) ask(`${refused.message.charAt(0).toUpperCase()}${refused.message.slice(1)}.`);
  });
}
