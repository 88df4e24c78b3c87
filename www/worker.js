// How the Worker begins: its module is on its way while its scripts come, and what the page says meanwhile waits.
// `cargo xtask split` puts this in place of Trunk's own loader.
globalThis.heard = [];
onmessage = (event) => heard.push(event);
const module = fetch("./playground-worker_bg.wasm");
const [worker] = await Promise.all([import("./playground-worker.js"), import("./unpack.js")]);
await worker.default({ module_or_path: module });
