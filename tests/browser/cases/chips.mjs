// Words that are swapped: what belongs to a word moves with it or goes, so that the page's own request is valid.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, run, settled } from "../support.mjs";

export function chips(world) {
  // No refusals: a request that the service refuses fails these tests.
  const open = (hash, use) => onPage(world.browser, { url: `${world.url}/#from=a+red+car+on+the+grass&seed=7&steps=4&${hash}` }, async (page) => {
    await settled(page);
    await use(page);
  });
  const chip = (page, word) => page.locator("#ideas button", { hasText: new RegExp(`^${word}$`) });
  const asked = async (page) => JSON.parse(/ -d '(.*)'$/s.exec(await page.locator("#curl").textContent())[1]);
  const ideasFor = async (page, word) => {
    await page.locator("#edit-prompt").focus();
    await page.evaluate((word) => {
      const area = document.getElementById("edit-prompt");
      area.setSelectionRange(area.value.indexOf(word) + 1, area.value.indexOf(word) + 1);
    }, word);
    await page.locator("#ideas .instead", { hasText: word }).waitFor();
  };

  test("a strength and a blend choice move to the word that is swapped in", () =>
    open("to=a+blue+car+on+the+grass&words=blue*1.5,car*0.5&blend=picked&in=red&into=blue", async (page) => {
      await ideasFor(page, "blue");
      await chip(page, "green").click();
      await settled(page, /edit took/);
      const { equalizer, local_blend: blend } = await asked(page);
      assert.deepEqual(equalizer, [{ word: "green", strength: 1.5 }, { word: "car", strength: 0.5 }]);
      assert.deepEqual(blend, { source_words: ["red"], target_words: ["green"] });
      assert.equal(await page.locator(".chip.lost").count(), 0);
    }));

  test("a word that is also elsewhere in the prompt keeps its strength", () =>
    open("to=a+blue+car+on+the+blue+sea&words=blue*1.5", async (page) => {
      await ideasFor(page, "blue");
      await chip(page, "green").click();
      await settled(page, /edit took/);
      assert.deepEqual((await asked(page)).equalizer, [{ word: "blue", strength: 1.5 }]);
    }));

  test("the source's own word swapped back in, with a blend where words change", () =>
    open("to=a+blue+car+on+the+grass&blend=changed", async (page) => {
      await ideasFor(page, "blue");
      await chip(page, "red").click();
      await settled(page, /changes nothing/);
      await page.locator('input[aria-label="Strength of car"]').focus();
      await page.keyboard.press("ArrowUp");
      await run(page, /edit took/);
      assert.deepEqual((await asked(page)).local_blend, { target_words: ["car"] });
    }));

  test("a word of the vocabulary in place of a selected part", () =>
    open("to=a+blue+car+on+the+grass&words=blue*1.5,grass*2&blend=picked&in=red&into=blue,grass", async (page) => {
      await page.locator("#vocabulary summary").click();
      await page.locator("#edit-prompt").evaluate((area) => { area.focus(); area.setSelectionRange(2, 10); });
      await page.locator("#vocabulary button", { hasText: /^bus$/ }).click();
      assert.equal(await page.inputValue("#edit-prompt"), "a bus on the grass");
      await run(page, /edit took/);
      assert.deepEqual((await asked(page)).equalizer, [{ word: "grass", strength: 2 }]);
      assert.deepEqual((await asked(page)).local_blend, { source_words: ["red"], target_words: ["grass"] });
    }));

  test("words that are typed away are listed, and left out of the next run", () =>
    open("to=a+blue+car+on+the+grass&words=blue*1.5&blend=picked&in=red&into=blue,car", async (page) => {
      await page.locator("#edit-prompt").fill("a pink car on the grass");
      await page.locator("#source-prompt").fill("a yellow car on the grass");
      await page.waitForFunction(() => document.querySelectorAll(".chip.lost").length === 3);
      assert.match(await page.locator("#picked").textContent(), /the next run leaves them out: ?red ✕ ?blue ✕ ?blue ×1.5/);
      await run(page, /edit took/);
      assert.equal((await asked(page)).equalizer, undefined);
      assert.deepEqual((await asked(page)).local_blend, { target_words: ["car"] });
    }));

  test("a second click just after a word was swapped in, or after Run, does not cancel", () =>
    open("to=a+blue+car+on+the+grass&steps=60", async (page) => {
      const statuses = () => page.evaluate(() => [...window.seen]);
      await page.evaluate(() => {
        window.seen = new Set();
        const look = () => window.seen.add(document.getElementById("status").textContent);
        new MutationObserver(look).observe(document.getElementById("status"), { childList: true });
      });
      await chip(page, "green").click();
      await page.locator("#run").click();
      await settled(page, /edit took/);
      await page.locator("#edit-prompt").fill("a pink car on the grass");
      await page.locator("#run").dblclick();
      await settled(page, /edit took/);
      assert.deepEqual((await statuses()).filter((text) => /Cancelled|Failed/.test(text)), []);
      assert.equal(await page.locator("#history-list li").count(), 4);
    }));
}
