// What is wrong is visible without scrolling, on a laptop and on a phone: the message, and the field that has the focus.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, run, settled, shots } from "../support.mjs";

/** Whether an element is in the window and nothing covers it. */
const inSight = (page, selector) =>
  page.locator(selector).evaluate((element) => {
    const { left, top, bottom, width, height } = element.getBoundingClientRect();
    const at = (x, y) => element.contains(document.elementFromPoint(x, y));
    return top >= 0 && bottom <= innerHeight && at(left + Math.min(width / 2, 40), top + 3) && at(left + Math.min(width / 2, 40), top + height - 3);
  });

/** A field with what is invalid in it, and the element that says so. */
const INVALID = [
  ["#source-prompt", "", "#problem-source"],
  ["#edit-prompt", "", "#problem-prompt"],
  ["#seed", "seven", "#problem-seed"],
  ["#sampling-steps", "1e9", "#problem-steps"],
  ["#guidance", "1000", "#problem-guidance"],
  ["#negative", "cat ".repeat(100), "#problem-negative"],
];

export function sight(world) {
  for (const [width, height] of [[1280, 800], [390, 844]]) {
    const open = (options, use) =>
      onPage(world.browser, { url: world.url, width, height, ...options }, async (page) => {
        await settled(page);
        await use(page);
      });

    for (const [field, value, message] of INVALID) {
      test(`${field} and its message at ${width} px`, () => open({ refusals: true }, async (page) => {
        await page.locator(field).evaluate((element) => element.closest("details")?.setAttribute("open", ""));
        await page.locator(field).fill(value);
        // From the button, which is far below.
        await run(page, /Failed/);
        await page.waitForFunction((field) => document.activeElement === document.querySelector(field), field);
        assert.equal(await inSight(page, field), true, "the field");
        assert.equal(await inSight(page, message), true, "its message");
        await page.screenshot({ path: `${shots}sight-${width}-${field.slice(1)}.png` });
      }));
    }

    test(`a network that is cut at ${width} px, wherever the page is scrolled`, () => open({ offline: true }, async (page) => {
      await page.context().setOffline(true);
      const visible = async (where) => {
        const seen = [await inSight(page, "#status"), await inSight(page, "#problem-general")];
        assert.ok(seen.includes(true), where);
        for (const place of ["#status", "#problem-general"]) assert.match(await page.locator(place).textContent(), /cannot be reached; check the network connection/);
      };
      await page.locator("#edit-prompt").fill("a green car on the grass");
      await page.waitForFunction(() => document.getElementById("problem-general").textContent !== "");
      await page.locator("#edit-prompt").press("Enter");
      await settled(page, /Failed/);
      await visible("at the target prompt");
      await page.screenshot({ path: `${shots}sight-${width}-offline.png` });
      await page.evaluate(() => scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" }));
      await page.locator("#run").click();
      await settled(page, /Failed/);
      // Longer than a smooth scroll takes: nothing may scroll away from the message.
      await page.waitForTimeout(800);
      await visible("at the button");
      await page.context().setOffline(false);
      await run(page, /edit took/);
      assert.equal(await page.locator("#problem-general").textContent(), "");
    }));
  }
}
