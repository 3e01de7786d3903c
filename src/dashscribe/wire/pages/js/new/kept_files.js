// Uploads that outlive a reload: what is known of each, and the file itself, in the browser's database.

const NAME = "dashscribe";
const ITEMS = "uploads";
const FILES = "files";

let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const asking = indexedDB.open(NAME, 1);
    asking.onupgradeneeded = () => {
      asking.result.createObjectStore(ITEMS, { keyPath: "id" });
      asking.result.createObjectStore(FILES);
    };
    asking.onsuccess = () => resolve(asking.result);
    asking.onerror = () => reject(asking.error);
  });
  return opened;
}

async function change(stores, mode, act) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(stores, mode);
    const asked = act(...stores.map((name) => transaction.objectStore(name)));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** Remember an item, a plain object with `id`. Nothing is remembered where the browser forbids it (private windows). */
export async function keepItem(item) {
  await change([ITEMS], "readwrite", (items) => items.put(item)).catch(() => undefined);
}

/** Remember the file of an item. Where there is no room for it, it has to be chosen again after a reload. */
export async function keepFile(id, file) {
  await change([FILES], "readwrite", (files) => files.put(file, id)).catch(() => undefined);
}

/** Forget an item and its file. */
export async function forget(id) {
  await change([ITEMS, FILES], "readwrite", (items, files) => { items.delete(id); files.delete(id); }).catch(() => undefined);
}

/** Forget everything. */
export async function forgetAll() {
  await change([ITEMS, FILES], "readwrite", (items, files) => { items.clear(); files.clear(); }).catch(() => undefined);
}

/** Forget the file only, once the server has all of it. */
export async function forgetFile(id) {
  await change([FILES], "readwrite", (files) => { files.delete(id); }).catch(() => undefined);
}

/** All items that are remembered. */
export async function keptItems() {
  return change([ITEMS], "readonly", (items) => items.getAll()).catch(() => []);
}

/** The file of an item, or undefined. */
export async function keptFile(id) {
  return change([FILES], "readonly", (files) => files.get(id)).catch(() => undefined);
}
