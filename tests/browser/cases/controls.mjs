// The controls of an edit: windows, strengths, blend words, ideas, cancelling, the theme.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, retype, run, settled, shots } from "../support.mjs";

const asked = (page) => page.locator("#curl").textContent();

export function controls(world) {
  const open = (use) => onPage(world.browser, { url: world.url, scheme: "dark" }, async (page) => {
    await settled(page);
    await use(page);
  });

  test("a window is the service's until a handle is moved", () => open(async (page) => {
    assert.match(await page.locator("#window-cross .range-text").textContent(), /^steps 1 to \d+ of 20, /);
    assert.doesNotMatch(await asked(page), /replace_steps/);
    const handle = page.locator('input[aria-label="Self-attention, to"]');
    await handle.focus();
    await page.keyboard.press("End");
    assert.match(await asked(page), /"self_replace_steps": 1\b/);
    await page.keyboard.press("Home");
    assert.match(await asked(page), /"self_replace_steps": 0\b/);
    assert.match(await page.locator("#window-self .range-text").textContent(), /^off$/);
    for (let at = 0; at < 12; at++) await page.keyboard.press("ArrowRight");
    assert.match(await page.locator("#window-self .range-text").textContent(), /^steps 1 to 12 of 20$/);
    await page.locator('input[aria-label="Cross-attention, from"]').focus();
    for (let at = 0; at < 4; at++) await page.keyboard.press("ArrowRight");
    assert.match(await page.locator("#window-cross .range-text").textContent(), /^steps 5 to 16 of 20$/);
    await run(page, /edit took/);
    await page.screenshot({ path: `${shots}windows.png`, fullPage: true });
    await page.locator("#window-self input[type=checkbox]").check();
    await page.locator("#window-cross input[type=checkbox]").check();
    assert.doesNotMatch(await asked(page), /replace_steps/);
  }));

  test("a word is turned up and down by keys and by dragging", () => open(async (page) => {
    const slider = page.locator('input[aria-label="Strength of grass"]');
    await slider.focus();
    for (let at = 0; at < 4; at++) await page.keyboard.press("ArrowUp");
    assert.equal(await slider.getAttribute("aria-valuetext"), "2 times");
    assert.match(await asked(page), /"word": "grass",\s+"strength": 2/);
    const box = await slider.boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height - 4);
    await page.mouse.up();
    assert.ok(Number(await slider.inputValue()) < -1, await slider.inputValue());
    const before = await page.locator("#after").getAttribute("src");
    await run(page, /edit took/);
    assert.notEqual(await page.locator("#after").getAttribute("src"), before);
    await slider.focus();
    await page.keyboard.press("Delete");
    assert.doesNotMatch(await asked(page), /equalizer/);
  }));

  test("blend words are picked by clicking them", () => open(async (page) => {
    await page.locator('input[value="changed"]').check();
    assert.match(await asked(page), /"local_blend": true/);
    await page.locator('input[value="picked"]').check();
    assert.match(await asked(page), /"source_words": \[\s+"red"\s+\],\s+"target_words": \[\s+"blue"/);
    await page.locator(".above .word", { hasText: "red" }).click();
    await page.locator(".above .word", { hasText: "car" }).click();
    await page.locator(".below .word", { hasText: "car" }).click();
    assert.match(await asked(page), /"source_words": \[\s+"car"\s+\],\s+"target_words": \[\s+"blue",\s+"car"/);
    await run(page, /edit took/);
  }));

  test("a word of the vocabulary is swapped in by a click", () => open(async (page) => {
    // The caret is in "blue".
    await page.locator("#edit-prompt").focus();
    await page.keyboard.press("Home");
    for (let at = 0; at < 3; at++) await page.keyboard.press("ArrowRight");
    await page.locator("#ideas button", { hasText: "purple" }).click();
    assert.equal(await page.inputValue("#edit-prompt"), "a purple car on the grass");
    await settled(page, /edit took/);
    await page.waitForFunction(() => document.querySelector("#history-list button").textContent === "red → purple");
  }));

  test("a run is cancelled, and the service's work with it", () => open(async (page) => {
    const cancelled = async () => {
      const metrics = await (await fetch(new URL("metrics", world.url))).text();
      return Number(/reprompt_jobs_canceled_total\{reason="disconnected"\} (\d+)/.exec(metrics)[1]);
    };
    const before = await cancelled();
    await page.locator(".more summary").click();
    await retype(page, "#sampling-steps", "400");
    await page.locator("#run").click();
    await page.waitForFunction(() => /step [1-9]/.test(document.getElementById("status").textContent));
    assert.equal(await page.locator("#run").textContent(), "Cancel");
    for (let tries = 0; (await page.locator("#run").textContent()) === "Cancel"; tries++) {
      // For a moment the button cancels nothing, so that a double click does not.
      assert.ok(tries < 20, "the button does not cancel");
      await page.locator("#run").click();
      await page.waitForTimeout(200);
    }
    await settled(page, /Cancelled/);
    for (let tries = 0; (await cancelled()) === before; tries++) {
      assert.ok(tries < 100, "the job is not cancelled");
      await page.waitForTimeout(100);
    }
  }));

  test("Escape cancels, from wherever the focus is, and does nothing else", () => open(async (page) => {
    await page.locator(".more summary").click();
    await retype(page, "#sampling-steps", "400");
    await page.keyboard.press("Escape");
    assert.match(await page.locator("#status").textContent(), /took/);
    await page.locator("#edit-prompt").press("Enter");
    await page.waitForFunction(() => /step [1-9]/.test(document.getElementById("status").textContent));
    await page.keyboard.press("Escape");
    await settled(page, /Cancelled/);
    assert.equal(await page.inputValue("#sampling-steps"), "400");
  }));

  test("a step that is pointed at is shown", () => open(async (page) => {
    await page.locator("#film button").nth(1).hover();
    assert.match(await page.locator("#pill-note").textContent(), /^edit, step 5$/);
    assert.equal(await page.locator("#wiper").isVisible(), false);
    await page.mouse.move(2, 2);
    await page.locator("#wiper").waitFor();
  }));

  test("the theme is chosen and kept; the first key leads past the picture", () => open(async (page) => {
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await paper();
    await page.locator("#theme").click();
    assert.notEqual(await paper(), dark);
    assert.equal(await page.locator("#theme").getAttribute("aria-pressed"), "false");
    await page.reload();
    assert.notEqual(await paper(), dark);
    await settled(page);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the words");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "words");
  }));
}
