// Server-sent events of a job, over a POST, which `EventSource` does not support.
//
// Contract: yields events as they arrive, each with its name and its data, and ends after `completed`. An event
// `error`, an error response, and an interrupted stream are thrown as problems. Aborting the signal closes the
// connection, which cancels the job.

import { Problem, isAbort, post } from "./api.js";

/** @typedef {{name: string, data: any}} Event */

/**
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} signal
 * @param {string} [session]  see `post`
 * @returns {AsyncGenerator<Event, void>}
 */
export async function* events(path, body, signal, session) {
  const response = await post(path, body, signal, "text/event-stream", session);
  if (!response.body) throw new Problem({ code: "broken_stream", detail: "the response has no body" });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await read(reader);
    if (done) break;
    text += value;
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? "";
    for (const event of blocks.map(parse)) {
      if (event === null) continue;
      if (event.name === "error") throw new Problem(event.data);
      yield event;
      if (event.name === "completed") return;
    }
  }
  throw new Problem({ code: "broken_stream", detail: "the connection was lost before the result arrived" });
}

/** @param {ReadableStreamDefaultReader<string>} reader */
async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (isAbort(error)) throw error;
    return { value: undefined, done: true };
  }
}

/**
 * Parses an event; `null` for comments, which keep the connection alive.
 * @param {string} block
 * @returns {Event | null}
 */
export function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
  }
  return data.length === 0 ? null : { name, data: JSON.parse(data.join("\n")) };
}
