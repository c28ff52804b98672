// Warnings beside their field, one line for each kind; and how long the person waited.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, retype, run, settled, shots } from "../support.mjs";

export function warnings(world) {
  const open = (hash, use) => onPage(world.browser, { url: `${world.url}/#seed=7&steps=4&${hash}` }, async (page) => {
    await settled(page);
    await use(page);
  });
  const lines = (page, id) => page.locator(`#warning-${id} .warning`).allTextContents();

  test("words that the model does not know are one line", () =>
    open("from=a+car+in+the+city&to=a+griffin+and+a+unicorn+in+the+palace", async (page) => {
      assert.deepEqual(await lines(page, "prompt"), [
        'The words "griffin", "unicorn", "palace" are not in the model\'s vocabulary; their effects are unpredictable.',
      ]);
      assert.deepEqual(await lines(page, "source"), []);
      await retype(page, "#edit-prompt", "a griffin in the city");
      await page.waitForFunction(() => /^The word "griffin" is not/.test(document.getElementById("warning-prompt").textContent));
    }));

  test("instructions of other tools are one line, and marked in the prompt", () =>
    open(`from=a+car+in+the+city&to=${encodeURIComponent("a (car:1.3) in the city BREAK <lora:x:1>")}`, async (page) => {
      const syntax = await lines(page, "prompt");
      assert.equal(syntax.length, 1, syntax.join(" | "));
      assert.doesNotMatch(syntax[0], /`|equalizer/);
      for (const part of ['"(car:1.3)"', '"BREAK"', '"<lora:x:1>"', "use the slider of a word"]) assert.ok(syntax[0].includes(part), syntax[0]);
      assert.ok((await page.locator("#edit-field .mark.unknown").allTextContents()).includes("(car:1.3)"));
      await page.screenshot({ path: `${shots}warnings.png`, fullPage: true });
    }));

  test("a strength beyond use, words that are shifted, and a negative prompt, beside their fields", () =>
    open("from=a+car+in+the+city&to=a+griffin+in+the+city&type=replace&negative=unicorn&words=griffin*30,city*-25", async (page) => {
      const [extreme, ...more] = await lines(page, "equalizer");
      assert.match(extreme, /^The strength 30 of "griffin" is far beyond .*the strength -25 of "city" .*between -2 and 5 are usual\.$/);
      assert.deepEqual(more, []);
      assert.match((await lines(page, "type")).join(), /the published replace then shifts the words after it/);
      assert.match((await lines(page, "negative")).join(), /"unicorn" is not in the model's vocabulary/);
      await page.locator("#type").selectOption("auto");
      await page.waitForFunction(() => document.getElementById("warning-type").textContent === "");
      await run(page, /edit took/);
      assert.equal((await lines(page, "equalizer")).length, 1);
    }));

  test("the time is that from the click to the image", () =>
    open("from=a+car+in+the+city&to=a+bus+in+the+city", async (page) => {
      // As a busy service would: each call waits for a second before it is answered.
      await page.route(/\/v1\/(sessions|edits)$/, async (route) => {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        await route.continue();
      });
      await page.locator("#seed").fill(String(Date.now() % 1e6));
      await run(page, /edit took/);
      const both = /^The source and the edit took ([\d.]+) s\.$/.exec(await page.locator("#status").textContent());
      assert.ok(Number(both?.[1]) >= 2, await page.locator("#status").textContent());
      await page.locator("#edit-prompt").fill("a boat in the city");
      await run(page, /edit took/);
      const edit = /^The edit took ([\d.]+) s\.$/.exec(await page.locator("#status").textContent());
      assert.ok(Number(edit?.[1]) >= 1 && Number(edit?.[1]) < 2 + Number(both[1]), await page.locator("#status").textContent());
    }));
}
