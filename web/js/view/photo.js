// A photo in place of a generated source, where the service takes photos: its contract says so.
//
// Contract: the button is there where the contract has such a field. A photo that is dropped where it has none is not
// sent anywhere, and the page says so.

import { Problem, takesPhotos } from "../api.js";
import { byId, el } from "../dom.js";

/** @param {import("../store.js").Store} store */
export function mountPhoto(store) {
  const note = byId("photo-note");
  const file = byId("photo-file", HTMLInputElement);
  const stage = byId("stage");

  /** Whether photos are taken; says so where they are not. */
  const isTaken = async () => {
    try {
      if (await takesPhotos()) return true;
      note.textContent = "This service makes its sources from prompts: it does not take photos.";
    } catch (error) {
      note.textContent = error instanceof Problem ? error.message : String(error);
    }
    return false;
  };
  const give = async (/** @type {File | undefined} */ photo) => {
    if (!photo || !(await isTaken())) return;
    const url = await dataUrl(photo);
    store.setSource({ photo: { name: photo.name, url } });
  };

  // What keeps the contract from being read shows in other calls.
  void takesPhotos().then((taken) => (byId("photo-row").hidden = !taken), () => {});
  byId("photo").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    void give(file.files?.[0]);
    file.value = "";
  });
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    stage.classList.add("is-over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && stage.classList.remove("is-over"));
  addEventListener("drop", (event) => {
    stage.classList.remove("is-over");
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    void give(event.dataTransfer.files[0]);
  });

  store.subscribe(["source"], ({ source: { photo } }) => {
    if (!photo) return note.replaceChildren();
    const remove = el("button", { type: "button", "aria-label": "Take the photo out", onclick: () => store.setSource({ photo: null }) }, "✕");
    note.replaceChildren(el("span", { class: "chip" }, `The source is ${photo.name}; its prompt describes it. `, remove));
  });
}

/** @param {File} photo @returns {Promise<string>} */
function dataUrl(photo) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(photo);
  });
}
