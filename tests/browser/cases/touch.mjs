// Fingers on a phone: swipes scroll, whatever they begin on; taps and drags set.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, settled } from "../support.mjs";

export function touch(world) {
  const open = (use) => onPage(world.browser, { url: world.url, width: 390, height: 844 }, async (page) => {
    await settled(page);
    const debug = await page.context().newCDPSession(page);
    const send = (type, points) => debug.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y]) => ({ x, y })) });
    /** A finger from one point to another, after it has rested for a while. */
    const swipe = async ([x, y], [toX, toY], rest = 0) => {
      await send("touchStart", [[x, y]]);
      if (rest > 0) await page.waitForTimeout(rest);
      for (let part = 1; part <= 10; part++) {
        await send("touchMove", [[x + ((toX - x) * part) / 10, y + ((toY - y) * part) / 10]]);
        await page.evaluate(() => new Promise(requestAnimationFrame));
      }
      await send("touchEnd", []);
    };
    const middle = async (locator) => {
      await locator.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
      const { x, y, width, height } = await locator.boundingBox();
      return [x + width / 2, y + height / 2];
    };
    await use(page, { swipe, middle });
  });
  const scrolled = (page) => page.evaluate(() => scrollY);
  const scrolls = async (page, from, what) => {
    await page.waitForFunction((from) => scrollY > from + 60, from, { timeout: 5000 }).catch(() => assert.fail(`the page does not scroll from ${what}`));
  };
  const values = (page) => page.locator("main input[type=range]").evaluateAll((all) => all.map((it) => it.value));

  test("a swipe that begins on a slider scrolls, and sets nothing", () => open(async (page, { swipe, middle }) => {
    const before = await values(page);
    const request = await page.locator("#curl").textContent();
    for (const name of ["Strength of blue", "Strength of grass", "Self-attention, to"]) {
      const slider = page.locator(`input[aria-label="${name}"]`);
      let [x, y] = await middle(slider);
      // On its rail, beside its handle; and on the handle of a window.
      if (name.startsWith("Strength")) y += 25;
      else x = (await page.locator("#window-self .band").boundingBox().then((box) => box.x + box.width)) - 6;
      const at = await scrolled(page);
      await swipe([x, y], [x, y - 150]);
      await scrolls(page, at, name);
      assert.deepEqual(await values(page), before, name);
    }
    const at = await scrolled(page);
    const { x, y, width, height } = await page.locator("#stage").boundingBox();
    await swipe([x + width * 0.8, y + height * 0.9], [x + width * 0.8, y + height * 0.4]);
    assert.notEqual(await scrolled(page), at - 1);
    assert.deepEqual(await values(page), before, "the wiper");
    assert.equal(await page.locator("#curl").textContent(), request);
  }));

  test("a tap sets a strength, and a finger that rests first drags it", () => open(async (page, { swipe, middle }) => {
    const slider = page.locator('input[aria-label="Strength of blue"]');
    const [x, y] = await middle(slider);
    await page.touchscreen.tap(x, y - 22);
    const tapped = Number(await slider.inputValue());
    assert.ok(tapped > 3 && tapped < 5, String(tapped));
    const at = await scrolled(page);
    await swipe([x, y], [x, y + 60], 400);
    assert.equal(await slider.inputValue(), "-3");
    assert.equal(await scrolled(page), at);
    assert.match(await page.locator("#curl").textContent(), /"word": "blue",\s+"strength": -3/);
  }));

  test("the wiper and the handles of a window follow a finger that moves sideways", () => open(async (page, { swipe, middle }) => {
    const { x, y, width, height } = await page.locator("#stage").boundingBox();
    await swipe([x + width / 2, y + height / 2], [x + width * 0.9, y + height / 2]);
    assert.ok(Number(await page.inputValue("#wiper")) > 75, await page.inputValue("#wiper"));
    await middle(page.locator("#window-self .band"));
    const band = await page.locator("#window-self .band").boundingBox();
    const end = [band.x + band.width, band.y + band.height / 2];
    await swipe(end, [end[0] - 60, end[1]]);
    assert.match(await page.locator("#curl").textContent(), /"self_replace_steps": 0\./);
  }));
}
