// What the page keeps and shares: IndexedDB, locks, compression and files, under the few calls that
// crates/page/src/saved/browser.rs binds.
import { createStore, del, get, keys, set } from "idb-keyval";

const store = createStore("playground", "clusters");

/** A whole stream as bytes. */
const bytesOf = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());
const through = (bytes, transform) => bytesOf(new Blob([bytes]).stream().pipeThrough(transform));

globalThis.PlaygroundKeep = {
  keys: () => keys(store),
  get: (key) => get(key, store),
  set: (key, value) => set(key, value, store),
  remove: (key) => del(key, store),
  compress: (bytes) => through(bytes, new CompressionStream("deflate-raw")),
  expand: (bytes) => through(bytes, new DecompressionStream("deflate-raw")),
  /** Whether this tab has a name for itself, for as long as it lives. A reload waits for its former self. */
  async claim(name) {
    if (!navigator.locks) return true;
    for (let attempt = 0; attempt < 10; attempt++) {
      const claimed = await new Promise((resolve) => {
        const hold = (lock) => {
          resolve(Boolean(lock));
          return lock ? new Promise(() => {}) : undefined;
        };
        navigator.locks.request(name, { ifAvailable: true }, hold).catch(() => resolve(true));
      });
      if (claimed) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  },
  download(name, bytes) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes]));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  },
  /** Asks for a file; its name and bytes, or nothing when the person thinks better of it. */
  pick(accept) {
    const input = Object.assign(document.createElement("input"), { type: "file", accept });
    return new Promise((resolve) => {
      input.oncancel = () => resolve(undefined);
      input.onchange = async () => {
        const [file] = input.files;
        resolve(file ? [file.name, new Uint8Array(await file.arrayBuffer())] : undefined);
      };
      input.click();
    });
  },
  /** The files of a drop: names and texts. */
  dropped: (transfer) => Promise.all([...(transfer?.files ?? [])].map(async (file) => [file.name, await file.text()])),
};

/** Opens the YAML editor, whose code comes when the first one is opened. */
globalThis.playgroundEditor = async (element, text, label, onChange, ask) => {
  const { open } = await import(new URL("editor.js", document.baseURI).href);
  return open(element, { text, label, onChange, ask });
};
