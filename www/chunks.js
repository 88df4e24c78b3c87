// How chunks come, each once. `cargo xtask split` puts this between `getSharedImports`, which gives what the main
// module shares with its chunks, the `version` of that module, which is in its chunks' names, and a line for each
// function that loads some of them.

const here = new Set();
const address = (file) => new URL(`./${file}-${version}.wasm`, import.meta.url);
const missing = (files) => files.filter((file) => !here.has(file));

function put(file, module) {
  // It may have come at once while it was on its way.
  if (here.has(file)) return;
  new WebAssembly.Instance(module, getSharedImports());
  here.add(file);
}

function tell(callback, data, success) {
  getSharedImports().__wasm_split.__indirect_function_table.get(callback)(data, success);
}

const coming = new Map();

// A file's module, fetched once for all that wait for it.
function compiled(file) {
  if (!coming.has(file)) {
    const module = WebAssembly.compileStreaming(fetch(address(file)));
    module.catch(() => {}).finally(() => coming.delete(file));
    coming.set(file, module);
  }
  return coming.get(file);
}

// Fetches files while the caller does other things.
const later = (...files) => async (callback, data) => {
  let success = true;
  try {
    const wanted = missing(files);
    const modules = await Promise.all(wanted.map(compiled));
    modules.forEach((module, at) => put(wanted[at], module));
  } catch (error) {
    console.error(error);
    success = false;
  }
  tell(callback, data, success);
};

// Fetches files while everything stands still, which a Worker may: code that is needed in the middle of something.
const atOnce = (...files) => (callback, data) => {
  let success = true;
  try {
    for (const file of missing(files)) {
      const request = new XMLHttpRequest();
      request.open("GET", address(file), false);
      request.responseType = "arraybuffer";
      request.send();
      if (request.status !== 200) throw new TypeError(`${file}: HTTP ${request.status}`);
      put(file, new WebAssembly.Module(unpackModule(new Uint8Array(request.response))));
    }
  } catch (error) {
    console.error(error);
    success = false;
  }
  tell(callback, data, success);
};
