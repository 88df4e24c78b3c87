// Makes the scripts that wasm-bindgen and `cargo xtask split` write shorter, and `unpack.js`. Trunk calls it after
// they are written.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { transform } from "esbuild";

const folder = process.env.TRUNK_STAGING_DIR;
for (const file of await readdir(folder)) {
  if (!/^(playground-|__wasm_split|unpack).*\.js$/.test(file)) continue;
  const script = join(folder, file);
  // One module's imports are listed several times by the same name, which is no mistake: silent.
  const { code } = await transform(await readFile(script, "utf8"), { minify: true, target: "es2022", logLevel: "silent" });
  await writeFile(script, code);
}
