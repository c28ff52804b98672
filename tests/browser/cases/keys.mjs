// A service with API keys: the page asks for a key, and then uses it.

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { accessible, onPage, settled, shots } from "../support.mjs";
import { startService } from "../service.mjs";

const KEY = "a-long-random-key-of-alice";

export function keys(world) {
  test("a key is asked for, a wrong one again, and the right one is kept in the tab alone", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "reprompt-")), "keys");
    writeFileSync(file, `alice ${KEY}\n`);
    const service = await startService(["--api-keys-file", file]);
    try {
      await onPage(world.browser, { url: service.url, refusals: true }, async (page) => {
        const dialog = page.locator("#key-dialog");
        await dialog.waitFor();
        assert.match(await page.locator("#key-why").textContent(), /^This service needs an API key; enter yours, or ask the operator/);
        await accessible(page, "the question for a key");
        await page.screenshot({ path: `${shots}key.png` });
        await page.locator("#key").fill("another");
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => /does not accept this API key/.test(document.getElementById("key-why").textContent));
        await page.locator("#key").fill(KEY);
        await page.keyboard.press("Enter");
        await settled(page, /edit took/);
        assert.equal(await dialog.isVisible(), false);
        assert.doesNotMatch(page.url() + (await page.content()), new RegExp(KEY));
        assert.match(await page.locator("#curl").textContent(), /authorization: Bearer \$REPROMPT_KEY/);
        await page.reload();
        await settled(page, /edit took/);
        assert.equal(await page.evaluate((key) => JSON.stringify(localStorage).includes(key), KEY), false);
      });
    } finally {
      service.stop();
    }
  });
}
