// The contract's page has the playground's theme.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, settled, shots } from "../support.mjs";

export function docs(world) {
  /** The lightness of the page's colours, from 0 to 255: of the background, and of the title. */
  const lightness = (page) => page.evaluate(() => {
    const of = (colour) => Math.max(...colour.match(/[\d.]+/g).slice(0, 3).map(Number));
    return [of(getComputedStyle(document.documentElement).backgroundColor), of(getComputedStyle(document.querySelector(".info .title")).color)];
  });

  test("the page at /docs is dark where the system is, unless light is chosen in the playground", () =>
    onPage(world.browser, { url: world.url, scheme: "dark" }, async (page) => {
      await settled(page);
      const open = async () => {
        await page.goto(new URL("docs", world.url).href);
        await page.locator(".opblock").first().waitFor();
      };
      await open();
      const [paper, ink] = await lightness(page);
      assert.ok(paper < 60 && ink > 180, `${paper}, ${ink}`);
      await page.screenshot({ path: `${shots}docs-dark.png` });
      await page.goBack();
      await page.locator("#theme").click();
      await open();
      assert.ok((await lightness(page))[1] < 90, String(await lightness(page)));
      assert.equal(await page.evaluate(() => document.documentElement.style.colorScheme), "light");
    }));
}
