// Sharing: the link, the edit as curl, the image as a file.
//
// Contract: browsers allow clipboard access only on this machine and over TLS; elsewhere the text is selected, to be
// copied by hand.

import { byId } from "../dom.js";
import { curl } from "../body.js";

/** @param {import("../store.js").Store} store */
export function mountShare(store) {
  const shown = byId("curl");
  store.subscribe(["source", "edit"], ({ source, edit }) => {
    shown.textContent = source.prompt === "" ? "" : curl(source, edit);
  });
  store.subscribe(["made", "result"], ({ made, result }) => {
    const download = byId("download", HTMLAnchorElement);
    const image = result?.image ?? made?.image;
    download.hidden = image === undefined;
    if (image !== undefined) download.href = image;
    download.download = `${result?.id ?? "source"}.png`;
  });
  byId("copy-link").addEventListener("click", (event) => copy(event, location.href));
  byId("copy-curl").addEventListener("click", (event) => copy(event, shown.textContent ?? "", shown));
}

/**
 * @param {Event} event
 * @param {string} text
 * @param {HTMLElement} [shown]
 */
async function copy(event, text, shown) {
  const button = event.currentTarget;
  if (!(button instanceof HTMLElement)) return;
  const label = button.dataset.label ?? button.textContent ?? "";
  button.dataset.label = label;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    byId("live").textContent = "Copied.";
  } catch {
    if (shown) getSelection()?.selectAllChildren(shown);
    button.textContent = shown ? "Selected, copy it" : "Copy it from the address bar";
  }
  setTimeout(() => (button.textContent = label), 2000);
}
