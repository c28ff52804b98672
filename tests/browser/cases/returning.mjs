// Coming back: by a link, and through the history.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, retype, run, settled } from "../support.mjs";

export function returning(world) {
  const state = (page) =>
    page.evaluate(() => ({
      fields: ["source-prompt", "seed", "edit-prompt", "type", "threshold"].map((id) => document.getElementById(id).value),
      curl: document.getElementById("curl").textContent,
      images: ["before", "after"].map((id) => document.getElementById(id).src),
    }));

  test("a link shows the same source and the same edit", async () => {
    let link;
    let first;
    await onPage(world.browser, { url: world.url }, async (page) => {
      await settled(page);
      await retype(page, "#edit-prompt", "a red bus on the snow");
      await page.locator(".pair.replaced", { hasText: "bus" }).waitFor();
      await page.locator('input[value="picked"]').check();
      await page.locator('input[aria-label="Strength of snow"]').focus();
      await page.keyboard.press("ArrowUp");
      await page.locator('input[aria-label="Cross-attention, to"]').focus();
      await page.keyboard.press("ArrowLeft");
      await run(page, /edit took/);
      link = page.url();
      first = await state(page);
    });
    await onPage(world.browser, { url: link }, async (page) => {
      await settled(page, /edit took/);
      assert.deepEqual(await state(page), first);
      assert.equal(page.url(), link);
    });
  });

  test("a random seed is shown, and is the link's", () =>
    onPage(world.browser, { url: `${world.url}/#from=a+cat+on+the+beach&to=a+dog+on+the+beach` }, async (page) => {
      await settled(page, /edit took/);
      const seed = await page.inputValue("#seed");
      assert.match(seed, /^\d+$/);
      assert.match(page.url(), new RegExp(`seed=${seed}`));
    }));

  test("an edit is gone back to without running it again", () =>
    onPage(world.browser, { url: world.url }, async (page) => {
      await settled(page);
      const first = await state(page);
      await retype(page, "#edit-prompt", "a green car on the grass");
      await run(page, /edit took/);
      assert.equal(await page.locator("#history-list li").count(), 3);
      let calls = 0;
      page.on("request", (request) => (calls += request.url().includes("/v1/edits") ? 1 : 0));
      await page.locator("#history-list button", { hasText: "red → blue" }).click();
      await page.waitForFunction((src) => document.getElementById("after").src === src, first.images[1]);
      assert.deepEqual(await state(page), first);
      await page.locator("#history-list button", { hasText: "source" }).click();
      assert.equal(await page.inputValue("#edit-prompt"), "a red car on the grass");
      assert.equal(await page.locator("#after").isVisible(), false);
      assert.equal(calls, 0);
    }));
}
