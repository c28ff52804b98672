// Pages in Chromium that call the service: one of another origin with OpenAI's client, and one that rebinds its name.
//
// The page's origin is allowed by the pattern http://localhost:*. The client's files are served as they are in its
// package, without a bundler.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const SERVICE = process.env.REPROMPT_URL;
const PACKAGE = new URL("node_modules/openai/", import.meta.url);
const { version } = JSON.parse(await readFile(new URL("package.json", PACKAGE), "utf8"));

const page = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">{"imports": {"openai": "/openai/index.mjs"}}</script>
<script type="module">
  import OpenAI from "openai";
  const client = new OpenAI({
    baseURL: "${SERVICE}/v1", apiKey: "none", dangerouslyAllowBrowser: true, maxRetries: 0,
  });
  const body = { prompt: "a car in the city", size: "64x64", seed: 7, num_inference_steps: 4 };
  window.used = async () => {
    const models = [];
    for await (const model of client.models.list()) models.push(model.id);
    const { data } = await client.images.generate(body);
    const image = new Image();
    image.src = "data:image/png;base64," + data[0].b64_json;
    await image.decode();
    const events = [];
    // Another seed, because a recorded image has no steps to preview.
    for await (const event of await client.images.generate({ ...body, seed: 8, stream: true, partial_images: 2 })) {
      events.push(event.type);
    }
    const error = await client.images.generate({ ...body, size: "100x100" }).catch((error) => error);
    return {
      models, events, size: [image.naturalWidth, image.naturalHeight],
      error: { status: error.status, code: error.code, param: error.param, id: error.requestID },
    };
  };
  window.traced = async () => {
    const headers = {
      "content-type": "application/json", accept: "image/png", authorization: "Bearer none", "x-any-header": "1",
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", tracestate: "a=b", baggage: "c=d",
    };
    const { prompt, ...source } = body;
    const edit = { source: { prompt, ...source }, prompt: "a bus in the city" };
    const response = await fetch("${SERVICE}/v1/edits", { method: "POST", headers, body: JSON.stringify(edit) });
    return { status: response.status, headers: [...response.headers.keys()], trace: response.headers.get("traceparent") };
  };
  window.isLoaded = true;
</script>`;

const server = createServer(async (request, response) => {
  if (request.url === "/") return response.setHeader("content-type", "text/html").end(page);
  try {
    const file = await readFile(new URL(request.url.replace(/^\/openai\//, "./"), PACKAGE));
    response.setHeader("content-type", "text/javascript").end(file);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

// As root, as in a container, Chromium runs only without its sandbox.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--host-resolver-rules=MAP rebound.example 127.0.0.1"],
});
try {
  const tab = await browser.newPage();
  tab.on("console", (message) => console.error(message.text()));
  tab.setDefaultTimeout(120_000);
  await tab.goto(`http://localhost:${server.address().port}/`);
  await tab.waitForFunction("window.isLoaded");

  const used = await tab.evaluate("used()");
  assert.deepEqual(used.models, ["reprompt-demo"]);
  assert.deepEqual(used.size, [64, 64]);
  assert.deepEqual(used.events.at(-1), "image_generation.completed");
  assert.equal(used.events.filter((type) => type === "image_generation.partial_image").length, 2);
  const { id, ...error } = used.error;
  assert.deepEqual(error, { status: 422, code: "unsupported_size", param: "size" });
  assert.ok(id, "the request's id is readable");

  const traced = await tab.evaluate("traced()");
  assert.equal(traced.status, 200);
  assert.match(traced.trace, /^00-4bf92f3577b34da6a3ce929d0e0e4736-/);
  for (const name of ["id", "session", "seed", "alignment", "windows"]) {
    assert.ok(traced.headers.includes(`x-reprompt-${name}`), `x-reprompt-${name} of ${traced.headers}`);
  }

  // DNS rebinding: the name of another site resolves to this machine, so its page has the origin of the service.
  const rebound = new URL(SERVICE);
  rebound.hostname = "rebound.example";
  const refused = await tab.goto(new URL("/v1/sessions", rebound).href);
  assert.equal(refused.status(), 403);
  assert.equal((await refused.json()).code, "host_not_allowed");
} finally {
  await browser.close();
  server.close();
}
console.log(`openai ${version} in Chromium: models, an image, a stream, an error and all headers from another origin`);
