// Files on their way to the server, each becoming a task of its own. They go on while other pages are shown, after the
// server was away, and after this page was loaded again.

import "../../vendor/tus.js";
import { address, ApiError, get, send, V1 } from "../api.js";
import { session, unfinished, whenSignedOut } from "../session.js";
import { store } from "../store.js";
import { forget, forgetFile, keepFile, keepItem, keptFile, keptItems } from "./kept_files.js";
import { submit } from "./submit.js";

const { Upload } = window.tus; // the library is no module: it puts itself there

const AT_ONCE = 2;
const CHUNK_BYTES = 8 * 1024 ** 2; // below what proxies refuse as a body
const RETRIES_MS = [0, 1000, 2000, 4000, 8000, ...Array(40).fill(15_000)]; // a server that is away for ten minutes

/**
 * Items in the order they were added: {id, owner, name, size, type, state, sent, path, url, order, taskId, error}. `state`:
 * waiting, uploading, stopped (by its user), lost (its file must be chosen again), failed, uploaded, submitted. `path` is
 * the upload's on the server, `url` what a task names it by, `order` what becomes of it once it is there, else null.
 */
export const uploads = store([]);
const files = new Map();
const running = new Map();

// Whoever signs in next sees nothing of these. What the server has of them it deletes by itself.
whenSignedOut(() => {
  for (const turn of running.values()) turn.abort();
  running.clear();
  files.clear();
  uploads.set([]);
});
unfinished.add(async () => uploads.get().every(({ state }) => state === "submitted"));

const find = (id) => uploads.get().find((item) => item.id === id);

function update(id, values, { keep = true } = {}) {
  uploads.set((all) => all.map((item) => (item.id === id ? { ...item, ...values } : item)));
  if (keep && find(id)) void keepItem({ ...find(id), error: null });
}

/** Add files; they begin at once, so that they are there when their options are chosen. */
export function add(chosen) {
  for (const file of chosen) {
    const again = uploads.get().find((item) => item.state === "lost" && item.name === file.name && item.size === file.size);
    const id = again?.id ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
    files.set(id, file);
    void keepFile(id, file);
    if (again) {
      update(id, { state: "waiting", error: null });
      continue;
    }
    const item = { id, owner: session.get().me?.owner ?? "", name: file.name, size: file.size, type: file.type, sent: 0 };
    uploads.set((all) => [...all, { ...item, state: "waiting", path: "", url: "", order: null, taskId: "", error: null }]);
    void keepItem(find(id));
  }
  next();
}

/** Take up what was on its way when the page was left. */
export async function takeUp() {
  const owner = session.get().me?.owner;
  const known = new Set(uploads.get().map(({ id }) => id));
  for (const item of await keptItems()) {
    if (known.has(item.id) || item.owner !== owner || item.state === "submitted") continue;
    const file = item.url ? null : await keptFile(item.id);
    if (file) files.set(item.id, file);
    const state = item.url ? "uploaded" : file ? (item.state === "stopped" ? "stopped" : "waiting") : "lost";
    uploads.set((all) => [...all, { ...item, state, error: null }]);
    if (item.url && item.order) void hand(item.id);
  }
  next();
}

/** Say what is to become of all that were added: each is submitted as soon as it is there. */
export function order(what) {
  for (const { id, state, url } of uploads.get().filter((one) => !one.order && one.state !== "submitted")) {
    update(id, { order: what });
    if (state === "failed" || state === "stopped") resume(id);
    else if (url) void hand(id);
  }
}

/** Stop one for now, or let it go on. */
export function stop(id) {
  running.get(id)?.abort();
  running.delete(id);
  update(id, { state: "stopped" });
  next();
}

export function resume(id) {
  update(id, { state: find(id).url ? "uploaded" : "waiting", error: null });
  if (find(id).url && find(id).order) void hand(id);
  next();
}

/** Take one off the list; what the server has of it goes too, unless a task has it. */
export function drop(id) {
  const { path, state } = find(id);
  running.get(id)?.abort();
  running.delete(id);
  files.delete(id);
  uploads.set((all) => all.filter((item) => item.id !== id));
  void forget(id);
  if (path && state !== "submitted") void send("DELETE", path, { headers: { "tus-resumable": "1.0.0" } }).catch(() => undefined);
  next();
}

/** Take those that are submitted off the list. */
export function clearDone() {
  for (const item of uploads.get().filter((one) => one.state === "submitted")) drop(item.id);
}

function next() {
  for (const item of uploads.get()) {
    if (running.size >= AT_ONCE) return;
    if (item.state === "waiting" && !running.has(item.id)) void begin(item.id);
  }
}

async function begin(id) {
  const turn = { abort() {} }; // there is nothing to abort while the upload is announced
  running.set(id, turn);
  update(id, { state: "uploading" });
  try {
    const path = find(id).path || (await announce(find(id)));
    update(id, { path });
    if (running.get(id) !== turn) return; // stopped meanwhile, and perhaps begun again
    await transfer(id, path, turn);
    const { url } = await get(path);
    files.delete(id);
    void forgetFile(id);
    update(id, { state: "uploaded", url, sent: find(id).size });
    if (find(id).order) void hand(id);
  } catch (error) {
    fail(id, error);
  } finally {
    if (running.get(id) === turn) running.delete(id);
    next();
  }
}

function fail(id, error) {
  if (!find(id) || find(id).state === "stopped") return;
  // The server forgot it, since it lay too long: from the beginning, when its user tries again.
  const path = error.status === 404 || error.status === 410 ? "" : find(id).path;
  update(id, { state: "failed", error, path });
}

async function announce({ name, size }) {
  const coded = btoa(String.fromCharCode(...new TextEncoder().encode(name)));
  const headers = { "tus-resumable": "1.0.0", "upload-length": String(size), "upload-metadata": `filename ${coded}` };
  const response = await send("POST", `${V1}/uploads`, { headers });
  // Only the end of the address: what stands before it is the server's idea of its own name, which a proxy may not share.
  const [, key] = new URL(response.headers.get("location")).pathname.split(`/${V1}/uploads/`);
  return `${V1}/uploads/${key}`;
}

function transfer(id, path, turn) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(files.get(id), {
      uploadUrl: address(path).href,
      headers: { authorization: `Bearer ${session.get().key}` },
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRIES_MS,
      storeFingerprintForResuming: false, // our own list does that
      onShouldRetry: (error) => passing(error.originalResponse?.getStatus() ?? 0),
      onProgress: (sent) => update(id, { sent }, { keep: false }),
      onChunkComplete: (_, sent) => update(id, { sent }),
      onSuccess: resolve,
      onError: (error) => reject(refusal(error)),
    });
    turn.abort = () => upload.abort();
    upload.start();
  });
}

/** No answer, a server that starts or is full, an earlier request that still holds the upload. */
const passing = (status) => status === 0 || status >= 500 || [409, 423, 429].includes(status);

function refusal(error) {
  const response = error.originalResponse;
  if (!response) return new ApiError({ code: "Network", message: error.message });
  let body = {};
  try {
    body = JSON.parse(response.getBody());
  } catch {
    // Not our server's answer.
  }
  return new ApiError({ status: response.getStatus(), code: body.code, message: body.message ?? "", requestId: body.request_id, body });
}

/** Make a task of an upload that is there. Asking twice makes one task: the item's id is the call's key. */
async function hand(id) {
  const item = find(id);
  try {
    const { output } = await submit(item.url, item.order, `pages-${item.id}`);
    update(id, { state: "submitted", taskId: output.task_id, error: null });
    void forget(id);
  } catch (error) {
    // What the server refused can be chosen anew, since the upload is still there; what did not reach it is tried again.
    const refused = error.status >= 400 && error.status < 500;
    update(id, { state: "failed", error, order: refused ? null : item.order });
  }
}
