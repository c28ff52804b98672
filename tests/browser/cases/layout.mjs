// The layout holds whatever the content: many edits, long prompts, long words, everything unfolded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, run, settled, shots } from "../support.mjs";

const COLOURS = ["green", "pink", "white", "black", "yellow", "purple"];
const OBJECTS = ["bus", "boat", "house", "cat", "tree", "dog"];
/** Few steps, because only the layout counts. */
const LINK = "#from=a+red+car+on+the+grass&seed=7&steps=4&to=a+blue+car+on+the+grass";
/** With the markers of the beginning and the end, 72 of 77 tokens. */
const LONG_PROMPT = `${"a red car on the grass at night ".repeat(8)}a red car on the snow`.trim();

/**
 * What is wrong with the layout: parts that are wider than the page or than their card, siblings that overlap, and
 * controls that something else covers.
 */
function faults(page) {
  return page.evaluate(() => {
    const found = new Set();
    const name = (element) => `${element.tagName.toLowerCase()}${element.id && `#${element.id}`}.${[...element.classList].join(".")}`;
    const isSeen = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 1;
    const isClipped = (element, end) => {
      for (let at = element.parentElement; at && at !== end; at = at.parentElement) {
        if (getComputedStyle(at).overflowX !== "visible") return true;
      }
      return false;
    };
    scrollTo(0, 0);
    if (document.documentElement.scrollWidth > innerWidth) found.add(`page: ${document.documentElement.scrollWidth} px`);
    const parts = [...document.querySelectorAll("body *")].filter((element) => isSeen(element) && !element.closest(".skip, .hidden, svg"));
    for (const element of parts) {
      const part = element.closest(".card, .when, .examples, .picture");
      const box = part && isSeen(part) ? part : document.body;
      const { left, right } = element.getBoundingClientRect();
      const outer = (box === element ? document.body : box).getBoundingClientRect();
      // The handles of a window reach beyond their track by half their width; outlines of thumbnails need some room.
      const slack = element.closest(".track") ? 10 : element.closest(".history") ? 3 : 1;
      const isOut = right > Math.min(outer.right, innerWidth) + slack || left < outer.left - slack;
      if (isOut && !element.closest(".examples ul, .stage") && !isClipped(element, box)) found.add(`wide: ${name(element)} ${left}-${right} in ${outer.left}-${outer.right}`);
    }
    for (const parent of parts) {
      if (parent.closest(".prompt, .stage, .track, select, .film button")) continue;
      const flow = [...parent.children].filter((child) => {
        const { display, position } = getComputedStyle(child);
        return isSeen(child) && display !== "inline" && ["static", "relative"].includes(position);
      });
      const boxes = flow.map((child) => [child, child.getBoundingClientRect()]);
      boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 1) found.add(`overlap: ${name(one)} and ${name(other)}, ${across} x ${down} px`);
      }));
    }
    for (const control of document.querySelectorAll("main :is(button, input, select, summary, textarea, a)")) {
      if (!isSeen(control) || control.closest(".stage")) continue;
      control.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
      const { left, top, width, height } = control.getBoundingClientRect();
      const hit = document.elementFromPoint(left + width / 2, top + height / 2);
      const same = (selector) => control.closest(selector) && control.closest(selector) === hit?.closest(selector);
      if (!control.contains(hit) && !same(".rail") && !same(".track")) found.add(`covered: ${name(control)} by ${hit && name(hit)}`);
    }
    return [...found];
  });
}

export function layout(world) {
  for (const [width, height] of [[390, 844], [768, 1024], [1280, 800], [1920, 1080]]) {
    test(`twelve edits, a long prompt and long words at ${width} px`, () =>
      onPage(world.browser, { url: `${world.url}/${LINK}`, width, height, refusals: true }, async (page) => {
        const intact = async (where) => assert.deepEqual(await faults(page), [], `${where} at ${width} px`);
        const type = (field, text) => page.locator(field).fill(text);
        await settled(page, /edit took/);
        await intact("one edit");
        for (const prompt of [...COLOURS.map((it) => `a ${it} car on the grass`), ...OBJECTS.map((it) => `a red ${it} on the grass`)]) {
          await type("#edit-prompt", prompt);
          await run(page, /edit took/);
        }
        assert.equal(await page.locator("#history-list li").count(), 14);
        await intact("twelve edits");
        await page.evaluate(() => scrollTo(0, 0));
        await page.screenshot({ path: `${shots}layout-${width}-edits.png`, fullPage: true });

        for (const summary of await page.locator("summary").all()) await summary.click();
        await page.locator('input[value="picked"]').check();
        await type("#edit-prompt", LONG_PROMPT);
        await page.waitForFunction((count) => document.querySelectorAll("#board .below .word").length === count, LONG_PROMPT.split(" ").length);
        await page.locator('input[aria-label="Strength of snow"]').focus();
        await page.keyboard.press("ArrowUp");
        await run(page, /edit took/);
        await intact("70 tokens");
        await page.evaluate(() => scrollTo(0, 0));
        await page.screenshot({ path: `${shots}layout-${width}-long.png`, fullPage: true });

        // One that still fits into the model's prompt, and one that does not.
        for (const letters of [60, 300]) {
          const word = "griffin".repeat(50).slice(0, letters);
          await type("#source-prompt", `a ${word} on the grass`);
          await type("#edit-prompt", letters === 60 ? `a red ${word} on the grass` : `a red ${word} [${word}:2] on the grass`);
          if (letters === 60) await page.locator(".above .word", { hasText: word }).waitFor();
          else await page.locator("#problem-source:not(:empty), #problem-prompt:not(:empty)").first().waitFor();
          // Its strength and its choice, from before it was changed again.
          await page.evaluate((word) => (location.hash = `${location.hash}x&words=${word}er*2&into=${word}er`), word);
          await page.locator(".chip.lost").first().waitFor();
          await settled(page, /Failed/);
          await intact(`a word of ${letters} letters`);
          await page.evaluate(() => scrollTo(0, 0));
          await page.screenshot({ path: `${shots}layout-${width}-word-${letters}.png`, fullPage: true });
        }
      }));
  }
}
