// A photo dropped in: refused where the service's contract has no field for it, sent where it has.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, settled } from "../support.mjs";

/** A picture from the page's own canvas, dropped onto it. */
const drop = (page) =>
  page.evaluate(async () => {
    const canvas = new OffscreenCanvas(64, 64);
    canvas.getContext("2d").fillRect(8, 8, 32, 32);
    const transfer = new DataTransfer();
    transfer.items.add(new File([await canvas.convertToBlob()], "cat.png", { type: "image/png" }));
    document.getElementById("stage").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  });

export function photos(world) {
  /** Has the contract with or without `source.image`. */
  const contract = (page, hasImages) =>
    page.route("**/openapi.json", async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      const { properties } = body.components.schemas.SourceRequest;
      delete properties.image;
      if (hasImages) properties.image = { type: "string" };
      await route.fulfill({ response: answer, json: body });
    });

  test("a service that takes no photos says so", () =>
    onPage(world.browser, { url: world.url }, async (page) => {
      await contract(page, false);
      await settled(page);
      assert.equal(await page.locator("#photo").isVisible(), false);
      await drop(page);
      await page.waitForFunction(() => /does not take photos/.test(document.getElementById("photo-note").textContent));
      assert.doesNotMatch(await page.locator("#curl").textContent(), /image"/);
    }));

  test("a service that takes photos gets it as the source's image", () =>
    onPage(world.browser, { url: world.url }, async (page) => {
      await contract(page, true);
      await page.reload();
      await settled(page);
      await page.locator("#photo").waitFor();
      await drop(page);
      await page.waitForFunction(() => /cat\.png/.test(document.getElementById("photo-note").textContent));
      const asked = page.waitForRequest("**/v1/sessions");
      await page.route("**/v1/sessions", (route) => route.abort());
      await page.locator("#run").click();
      const { source } = (await asked).postDataJSON();
      assert.match(source.image, /^data:image\/png;base64,/);
      assert.equal(source.seed, undefined);
      await settled(page, /Failed/);
      assert.match(await page.locator("#problem-general").textContent(), /cannot be reached/);
    }).catch((error) => {
      // The browser's own line for the call that this test cut off.
      if (!/ERR_FAILED/.test(String(error))) throw error;
    }));
}
