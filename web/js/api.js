// Calls to the service.
//
// Contract: URLs are relative to the page, so that it works under any path of a proxy. Every failure is thrown as a
// `Problem`, for error responses (RFC 9457) and for network errors; an abort stays an abort.

import { apiKey } from "./key.js";

/** A failed call. */
export class Problem extends Error {
  /**
   * @param {{detail?: string, title?: string, code?: string, param?: string | null}} body
   * @param {string | null} [retryAfter]
   */
  constructor(body, retryAfter = null) {
    const wait = retryAfter ? `; try again in ${retryAfter} s` : "";
    super((body.detail ?? body.title ?? "something went wrong") + wait);
    /** A stable name. */
    this.code = body.code ?? "unknown";
    /** The path of the invalid field; empty if there is none. */
    this.param = body.param ?? "";
  }
}

/** The service's own message names HTTP headers, which a person at this page does not write. */
const NO_KEY = "this service needs an API key; enter yours, or ask the operator of the service for one";
const UNKNOWN_KEY = "the service does not accept this API key; check it for typing errors, or ask the operator for a new one";

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * A call; the caller reads the body.
 * @param {string} path  without a slash in front
 * @param {RequestInit} init
 * @returns {Promise<Response>}
 */
export async function call(path, init = {}) {
  let response;
  const headers = new Headers(init.headers);
  if (apiKey() !== "") headers.set("authorization", `Bearer ${apiKey()}`);
  try {
    response = await fetch(new URL(path, document.baseURI), { ...init, headers });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Problem({ code: "unreachable", detail: "the service cannot be reached; check the network connection and try again" });
  }
  if (response.ok) return response;
  const retryAfter = response.headers.get("retry-after");
  const isProblem = (response.headers.get("content-type") ?? "").startsWith("application/problem+json");
  const body = isProblem ? await response.json() : { detail: `the service answered ${response.status}` };
  if (body.code === "unauthorized") body.detail = apiKey() === "" ? NO_KEY : UNKNOWN_KEY;
  throw new Problem(body, retryAfter);
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
export async function getJson(path, init = {}) {
  const response = await call(path, { ...init, headers: { accept: "application/json" } });
  return response.json();
}

/**
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} [signal]
 * @param {string} [accept]
 * @param {string} [session]  the session that the call uses, so that a proxy can choose the replica that recorded it
 */
export function post(path, body, signal, accept = "application/json", session = undefined) {
  const headers = { "content-type": "application/json", accept, ...(session && { "x-reprompt-session": session }) };
  return call(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}
