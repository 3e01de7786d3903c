// Calls of the server: with the key, answers as objects, failures as ApiError with a message that can be shown.

import { keyRefused, session } from "./session.js";

/** Where the server's paths begin: beside this page, which a proxy may serve below a path of its own. */
const root = new URL(".", document.baseURI.replace(/[?#].*$/, ""));

/** The address of a path of the server, with a query; null, undefined and "" are left out of it. */
export function address(path, query = {}) {
  const url = new URL(path.replace(/^\//, ""), root);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

/**
 * What went wrong with a call. `status` is 0 where no answer came; `code` and `message` are the server's own; `body` is
 * the whole answer, for those that tell more (a conflict tells the current revision).
 */
export class ApiError extends Error {
  constructor({ status = 0, code = "", message = "", requestId = "", body = null }) {
    super(message);
    Object.assign(this, { name: "ApiError", status, code, requestId, body });
  }
}

const PAUSES_MS = [400, 1200, 3000];
const PASSING = new Set([502, 503, 504]);

/** Reading is tried again when the network, or a server that is just starting, gave no answer; writing never is. */
async function reach(url, init) {
  const pauses = init.method === "GET" ? PAUSES_MS : [];
  for (let tries = 0; ; tries += 1) {
    try {
      const response = await fetch(url, { ...init, cache: "no-store" });
      if (!PASSING.has(response.status) || tries >= pauses.length) return response;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (tries >= pauses.length) throw new ApiError({ code: "Network", message: String(error.message ?? error) });
    }
    await rest(pauses[tries], init.signal);
  }
}

/** Wait; an abort ends it at once, as it ends a call. */
export function rest(ms, signal) {
  return new Promise((resolve, reject) => {
    let timer = 0;
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    };
    if (signal?.aborted) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop); // the signal lives as long as its page, which may rest for hours
      resolve();
    }, ms);
  });
}

async function refusal(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // Not from our server, such as a proxy's page: the status says all that is known.
  }
  return new ApiError({
    status: response.status,
    code: body?.code ?? "",
    message: body?.message ?? "",
    requestId: body?.request_id ?? response.headers.get("x-request-id") ?? "",
    body,
  });
}

/** Browsers let calls of so many bytes go on when their page has gone, over all such calls 64 KiB. */
const OUTLIVING_BYTES = 30_000;

/**
 * Any call; the answer as it came. Throws ApiError. A key that is refused signs out, unless it was given as `key`. With
 * `outlives` a small call reaches the server although its page is closed meanwhile.
 */
export async function send(method, path, { query, body, headers = {}, signal, key, outlives = false } = {}) {
  const used = key ?? session.get().key;
  const init = { method, signal, headers: { ...headers, authorization: `Bearer ${used}` } };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers["content-type"] = "application/json";
    init.keepalive = outlives && new Blob([init.body]).size <= OUTLIVING_BYTES;
  }
  const response = await reach(address(path, query), init);
  if (response.ok) return response;
  const error = await refusal(response);
  if (error.status === 401 && key === undefined && used === session.get().key) keyRefused();
  throw error;
}

async function call(method, path, how) {
  const response = await send(method, path, how);
  return response.status === 204 ? {} : response.json();
}

export const get = (path, query, how) => call("GET", path, { ...how, query });
export const post = (path, body = {}, how) => call("POST", path, { ...how, body });
export const put = (path, body, how) => call("PUT", path, { ...how, body });
export const patch = (path, body, how) => call("PATCH", path, { ...how, body });
export const del = (path, how) => call("DELETE", path, how);

/** Where the routes of these pages lie. */
export const V1 = "dashscribe/v1";

/** Fetch a file and let the browser save it under the name that the server gave, else under `otherwise`. */
export async function download(path, { method = "GET", query, body, name: otherwise = "download" } = {}) {
  const response = await send(method, path, { query, body });
  const told = response.headers.get("content-disposition") ?? "";
  const coded = /filename\*=UTF-8''([^;]+)/i.exec(told)?.[1];
  const plain = /filename="((?:[^"\\]|\\.)*)"/.exec(told)?.[1];
  save(await response.blob(), coded ? decodeURIComponent(coded) : plain ?? otherwise);
}

/** Let the browser save a blob as a file. */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
