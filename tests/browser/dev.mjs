// The page from this tree over a service that runs: change a file, reload, no build.
//
//   node tests/browser/dev.mjs [http://127.0.0.1:8080] [8081]
//
// Contract: files of web/ answer for / and /assets, with the headers that the service gives its own; everything else
// comes from the service, streams included.

import { createServer, request } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const [upstream = "http://127.0.0.1:8080", port = "8081"] = process.argv.slice(2);
const web = fileURLToPath(new URL("../../web", import.meta.url));
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** The headers of the service's own page, so that its policy holds here too. */
async function headers(path) {
  const { headers } = await fetch(upstream);
  const own = Object.fromEntries(["content-security-policy", "referrer-policy"].map((name) => [name, headers.get(name)]));
  const policy = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null));
  return { ...policy, "content-type": `${types[extname(path)] ?? "application/octet-stream"}; charset=utf-8`, "cache-control": "no-store" };
}

createServer(async (incoming, outgoing) => {
  const { pathname } = new URL(incoming.url, upstream);
  if (pathname === "/" || pathname.startsWith("/assets/")) {
    const path = pathname === "/" ? "index.html" : normalize(pathname.slice("/assets/".length));
    try {
      outgoing.writeHead(200, await headers(path)).end(await readFile(join(web, path)));
    } catch {
      outgoing.writeHead(404).end();
    }
    return;
  }
  const passed = request(new URL(incoming.url, upstream), { method: incoming.method, headers: incoming.headers }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  passed.on("error", () => outgoing.writeHead(502).end());
  // If the client disconnects, disconnect from the service too, which cancels the job.
  outgoing.on("close", () => passed.destroy());
  incoming.pipe(passed);
}).listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port} over ${upstream}`));
