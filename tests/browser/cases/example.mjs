// The page of docs/examples, at an address of the service's own, so that it needs no permission of another origin's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const path = fileURLToPath(new URL("../../../docs/examples/edit.html", import.meta.url));

export function example(world) {
  const open = async (query, use) => {
    const page = await world.browser.newPage({ viewport: { width: 700, height: 700 } });
    const thrown = [];
    page.on("pageerror", (error) => thrown.push(error.stack));
    try {
      await page.route(/\/edit\.html/, (route) => route.fulfill({ path }));
      await page.goto(`${world.url}/edit.html?service=${world.url}&run&${query}`);
      await use(page, (text) => page.waitForFunction(
        (pattern) => new RegExp(pattern).test(document.querySelector("[role=status]").textContent), text));
      assert.deepEqual(thrown, []);
    } finally {
      await page.close();
    }
  };

  test("the example page shows the steps, and then the edit", () =>
    open("", async (page, status) => {
      await status("^step \\d+ of 20");
      await page.waitForFunction(() => document.images[0].naturalWidth === 128);
      const preview = await page.locator("img").getAttribute("src");
      await status("^done in \\d+ ms, session ses_");
      assert.notEqual(await page.locator("img").getAttribute("src"), preview);
    }));

  test("the example page tells what is wrong", () =>
    open("to=", (page, status) => page.locator("[name=to]").fill("cat ".repeat(100))
      .then(() => page.locator("button").first().click()).then(() => status("102 tokens"))));

  test("the example page stops", () =>
    open("to=a+tiger+in+the+city", async (page, status) => {
      await status("^step");
      await page.locator("[name=stop]").click();
      await status("^stopped$");
    }));
}
