// The service under test: the release binary with the embedded model, on a port of its own.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Starts the service, or uses the one at `REPROMPT_URL`, such as that of dev.mjs.
 * @param {string[]} flags  if there are any, the service is always started
 * @returns {Promise<{url: string, stop: () => void}>}
 */
export async function startService(flags = []) {
  const running = process.env.REPROMPT_URL;
  if (running && flags.length === 0) return { url: running, stop: () => {} };
  const binary = `${process.env.CARGO_TARGET_DIR ?? `${root}target`}/release/reprompt`;
  const child = spawn(binary, ["serve", "--listen", "127.0.0.1:0", "--log-format", "json", ...flags], { cwd: root });
  child.stderr.resume();
  const url = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`the service ended with ${code}`)));
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        const found = /listening on (http:\/\/[^\s"]+)/.exec(line);
        if (found) resolve(found[1]);
      });
    }
  });
  for (let tries = 0; !(await fetch(new URL("readyz", url)).catch(() => null))?.ok; tries++) {
    if (tries > 600) throw new Error("the service does not become ready");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, stop: () => child.kill() };
}
