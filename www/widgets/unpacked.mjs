// Fails the build if `unpack.js`, with the program in it that the page has, does not make modules of what is sent.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const folder = process.env.TRUNK_STAGING_DIR;
// It is a script, not a module: it puts its function into the global object.
(0, eval)(await readFile(join(folder, "unpack.js"), "utf8"));
for (const file of (await readdir(folder)).filter((name) => name.endsWith(".wasm"))) {
  const module = unpackModule(new Uint8Array(await readFile(join(folder, file))));
  if (!WebAssembly.validate(module)) throw new Error(`${file} is no module once it is unpacked`);
}
