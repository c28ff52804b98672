// Actions that several tests share, and checks that every test makes.
//
// Contract: a test fails if the page throws an error, logs an error or a warning to the console, or violates its content
// security policy. The browser's own line about a 401 or 422 response, or about a network that is cut, is allowed in a test that
// provokes one.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WAIT = { timeout: 90_000 };
export const shots = fileURLToPath(new URL("../../target/browser/", import.meta.url));
mkdirSync(shots, { recursive: true });

/** As root, as in a container, Chromium runs only without its sandbox. */
export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/**
 * Opens the page, hands it to `use`, and checks that it has not complained.
 * @param {import("playwright-core").Browser} browser
 * @param {{url: string, width?: number, height?: number, scheme?: "light" | "dark", refusals?: boolean, offline?: boolean}} options
 * @param {(page: import("playwright-core").Page) => Promise<void>} use
 */
export async function onPage(browser, { url, width = 1280, height = 900, scheme = "light", refusals = false, offline = false }, use) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, hasTouch: width < 500 });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT.timeout);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`thrown: ${error.stack}`));
  page.on("console", (message) => {
    const isRefusal = refusals && /status of 4(01|22)/.test(message.text());
    const isCut = offline && /net::ERR_INTERNET_DISCONNECTED/.test(message.text());
    if (["error", "warning"].includes(message.type()) && !isRefusal && !isCut) complaints.push(`console: ${message.text()}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
  });
  try {
    await page.goto(url);
    await use(page);
    complaints.push(...(await page.evaluate(() => window.violations)).map((it) => `policy: ${it}`));
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

/** Waits until the page is idle and the status matches. */
export async function settled(page, status = /took|changes nothing/) {
  await page.waitForFunction(
    (pattern) => !document.body.classList.contains("is-busy") && new RegExp(pattern).test(document.getElementById("status").textContent),
    status.source,
    WAIT,
  );
}

/** Presses Run and waits until the run has ended. */
export async function run(page, status) {
  // The status of the previous run must not count.
  await page.evaluate(() => (document.getElementById("status").textContent = ""));
  await page.locator("#run").click();
  await settled(page, status);
}

/** Replaces the text of a field by typing. */
export async function retype(page, field, text) {
  await page.locator(field).click();
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text);
}

/** The mean difference of two images on the page, from 0 to 255. */
export function difference(page, one, other) {
  return page.evaluate(
    async ([one, other]) => {
      const pixels = async (id) => {
        const image = document.getElementById(id);
        await image.decode();
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return canvas.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data;
      };
      const [a, b] = [await pixels(one), await pixels(other)];
      return a.reduce((sum, value, at) => sum + Math.abs(value - b[at]), 0) / a.length;
    },
    [one, other],
  );
}

/** Asserts that there is no serious violation of accessibility. */
export async function accessible(page, where) {
  // Evaluated by the debugger, which the page's policy does not bind.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(told, [], where);
}

/** Deletes all sessions of the service. */
export async function forgetAll(url) {
  const { data } = await (await fetch(new URL("v1/sessions", url))).json();
  await Promise.all(data.map(({ id }) => fetch(new URL(`v1/sessions/${id}`, url), { method: "DELETE" })));
}

/** Whether the page is no wider than its window. */
export async function fits(page, where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${where}: ${content} px in ${window} px`);
}
