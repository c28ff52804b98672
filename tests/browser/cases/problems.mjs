// A problem is shown in the service's words, beside the field that it names.

import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, onPage, retype, run, settled, shots } from "../support.mjs";

export function problems(world) {
  const open = (hash, use) => onPage(world.browser, { url: `${world.url}/${hash}`, refusals: true }, use);
  const text = (page, id) => page.locator(`#problem-${id}`).textContent();

  test("a blend word that is not there", () =>
    open("#from=a+car+in+the+city&seed=7&to=a+bus+in+the+city&blend=picked&into=dgo", async (page) => {
      await settled(page, /Failed/);
      assert.match(await text(page, "blend"), /has no word "dgo"; its words are: a, bus, in, the, city/);
      assert.match(await page.locator("#alert").textContent(), /has no word "dgo"/);
      await accessible(page, "a problem");
      await page.screenshot({ path: `${shots}problem.png`, fullPage: true });
      await page.locator('button[aria-label="Take out dgo"]').click();
      await page.waitForFunction(() => document.getElementById("problem-blend").textContent === "");
      await run(page, /edit took/);
    }));

  test("a prompt of 100 words, while it is typed and when it is run", () =>
    open("#from=a+car+in+the+city&seed=7", async (page) => {
      await settled(page);
      await page.locator("#edit-prompt").fill("cat ".repeat(100));
      await page.waitForFunction(() => /102 tokens/.test(document.getElementById("problem-prompt").textContent));
      assert.equal(await page.locator("#edit-prompt").getAttribute("aria-invalid"), "true");
      await run(page, /Failed/);
      assert.match(await text(page, "prompt"), /102 tokens/);
      assert.equal(await page.evaluate(() => document.activeElement.id), "edit-prompt");
      await retype(page, "#edit-prompt", "a bus in the city");
      await page.waitForFunction(() => document.getElementById("problem-prompt").textContent === "");
      assert.equal(await page.locator("#edit-prompt").getAttribute("aria-invalid"), null);
    }));

  test("fields of the source, also where they are folded away", () =>
    open("#from=a+car&seed=seven", async (page) => {
      await settled(page, /Failed/);
      assert.match(await text(page, "seed"), /expected an integer from 0 to 18446744073709551615, got a string/);
      await page.locator(".more summary").click();
      await retype(page, "#seed", "7");
      await retype(page, "#guidance", "1000");
      await page.locator(".more summary").click();
      await run(page, /Failed/);
      assert.match(await text(page, "guidance"), /expected 0 to 100, got 1000/);
      assert.equal(await page.locator("#guidance").isVisible(), true);
    }));

  test("an equalizer and a rule that cannot be", () =>
    open("#from=a+car&seed=7&to=a+car&words=wheel*2", async (page) => {
      await settled(page, /Failed/);
      assert.match(await text(page, "equalizer"), /no word "wheel"/);
      await page.locator('button[aria-label="Take out wheel ×2"]').click();
      await page.locator("#type").selectOption("replace");
      await retype(page, "#edit-prompt", "a car at night");
      await page.waitForFunction(() => /same number of words/.test(document.getElementById("problem-prompt").textContent));
    }));

  test("an empty prompt is reported after the user has emptied the field", () =>
    open("#from=a+car&seed=7", async (page) => {
      await settled(page);
      await page.locator("#edit-prompt").fill("");
      await page.waitForFunction(() => /no words/.test(document.getElementById("problem-prompt").textContent));
    }));
}
