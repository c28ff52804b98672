// Makes docs/images/playground.png: the model's first example, 1280 px wide, in few colours so that it is small.

import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { startService } from "./service.mjs";
import { launch, onPage, settled } from "./support.mjs";

const LIMIT = 300_000;
const path = fileURLToPath(new URL("../../docs/images/playground.png", import.meta.url));

const service = await startService();
const browser = await launch();
try {
  await onPage(browser, { url: service.url, height: 1200 }, async (page) => {
    await settled(page, /edit took/);
    await page.locator(".history img").first().waitFor();
    // As long as what tells the story.
    const height = await page.locator(".when").evaluate((part) => Math.ceil(part.lastElementChild.getBoundingClientRect().bottom) + 16);
    await page.screenshot({ path, clip: { x: 0, y: 0, width: 1280, height } });
  });
} finally {
  await browser.close();
  service.stop();
}
execFileSync("pngquant", ["--force", "--strip", "--skip-if-larger", "--quality", "60-95", "--output", path, "256", path]);
const { size } = statSync(path);
console.log(`${path}: ${size} bytes`);
if (size > LIMIT) throw new Error(`it is larger than ${LIMIT} bytes`);
