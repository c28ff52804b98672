// A whole edit by clicking and typing, on a laptop and a phone, light and dark.

import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, difference, fits, forgetAll, onPage, retype, run, settled, shots } from "../support.mjs";

/** Keeps what the status said, and how long the film was. */
const watch = (page) =>
  page.evaluate(() => {
    window.seen = { status: new Set(), frames: 0 };
    const look = () => {
      window.seen.status.add(document.getElementById("status").textContent);
      window.seen.frames = Math.max(window.seen.frames, document.querySelectorAll("body.is-busy #film img").length);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });

async function wholeEdit(page, name) {
  // The first example is shown without a click.
  await settled(page);
  assert.ok((await difference(page, "before", "after")) > 3);
  await fits(page, name);
  await accessible(page, name);
  await page.screenshot({ path: `${shots}${name}-first.png`, fullPage: true });

  await retype(page, "#edit-prompt", await page.inputValue("#source-prompt"));
  await retype(page, "#source-prompt", "a house in the forest");
  assert.equal(await page.inputValue("#edit-prompt"), "a house in the forest", "the edit starts as the source");
  await retype(page, "#seed", "3");
  await retype(page, "#edit-prompt", "a castle in the forest at night");
  await page.locator(".pair.added").first().waitFor();
  const pairs = await page.locator(".pair").evaluateAll((all) => all.map((pair) => pair.innerText.split("\n×")[0].replace(/\s+/g, " ")));
  assert.ok(pairs.some((pair) => /house .*is replaced by.* castle/.test(pair)), pairs.join(" | "));
  assert.equal(await page.locator(".pair.kept").count(), 4);
  assert.deepEqual(await page.locator("#edit-field .mark.added").allTextContents(), ["at", "night"]);

  await watch(page);
  await run(page, /edit took/);
  const { status, frames } = await page.evaluate(() => ({ ...window.seen, status: [...window.seen.status] }));
  for (const step of [/source: step \d+ of 20/, /edit: step \d+ of 20/]) {
    assert.ok(status.filter((text) => step.test(text)).length > 3, `${step} in ${status.join(" | ")}`);
  }
  assert.ok(frames >= 5, `${frames} previews while it ran`);
  assert.equal(await page.locator("#film img").count(), 8);
  assert.ok((await difference(page, "before", "after")) > 3, "the image changes");

  await wiperByKeys(page);
  await heatMap(page);
  await page.screenshot({ path: `${shots}${name}-heat.png` });
  await page.evaluate(() => document.activeElement?.blur());

  await retype(page, "#edit-prompt", "a griffin in the forest");
  await page.locator("#edit-field .mark.unknown").waitFor();
  assert.equal(await page.locator("#edit-field .mark.unknown").textContent(), "griffin");
  assert.match(await page.locator("#warning-prompt").textContent(), /^The word "griffin" is not in the model's vocabulary/);
  await page.locator('input[value="picked"]').check();
  await page.locator(".word.pickable[aria-pressed=true]").first().waitFor();
  await fits(page, name);
  await accessible(page, `${name}, picking`);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${shots}${name}-words.png`, fullPage: true });
}

async function wiperByKeys(page) {
  const wiper = page.locator("#wiper");
  await wiper.focus();
  await page.keyboard.press("Home");
  assert.equal(await wiper.getAttribute("aria-valuetext"), "0 % source, 100 % edit");
  const edit = await page.locator("#stage").screenshot();
  await page.keyboard.press("End");
  assert.equal(await wiper.getAttribute("aria-valuetext"), "100 % source, 0 % edit");
  const source = await page.locator("#stage").screenshot();
  assert.ok(!edit.equals(source), "the wiper wipes");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await wiper.inputValue(), "99");
}

async function heatMap(page) {
  await page.waitForFunction(() => document.querySelector("#board .below .word"));
  await page.locator(".above .word", { hasText: "house" }).focus();
  await page.locator("#heat").waitFor();
  assert.match(await page.locator("#pill-note").textContent(), /where the source attends to “house”/);
  const shades = await page.locator("#heat").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(data.filter((_, at) => at % 4 === 0)).size;
  });
  assert.ok(shades > 20, `${shades} shades of red`);
  await page.locator(".below .word", { hasText: "castle" }).focus();
  assert.match(await page.locator("#pill-note").textContent(), /where the edit attends to “castle”/);
}

export function edits(world) {
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    for (const scheme of /** @type {const} */ (["light", "dark"])) {
      const name = `${width}-${scheme}`;
      test(`a whole edit at ${width} px, ${scheme}`, async () => {
        // A source that is recorded already has no steps to show.
        await forgetAll(world.url);
        await onPage(world.browser, { url: world.url, width, height, scheme }, (page) => wholeEdit(page, name));
      });
    }
  }
}
