// Bundles the page's JavaScript widgets and copies the fonts' files, into dist/ beside this file.
// Trunk calls it before every build (Trunk.toml); `npm ci` must have run once.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import subsetFont from "subset-font";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "dist");

// One variable file a family, of Latin and the signs that the page writes: other scripts fall back to
// the system's fonts. Weights that no rule asks for and ligatures (a terminal shows what was typed) go.
const FONTS = [
  { file: "@fontsource-variable/instrument-sans/files/instrument-sans-latin-wght-normal.woff2", weights: [400, 700] },
  { file: "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2", weights: [400, 700] },
];
const range = (first, last) => String.fromCodePoint(...Array.from({ length: last - first + 1 }, (_, i) => first + i));
const SIGNS = range(0x20, 0x7e) + range(0xa0, 0xff) + "–—‘’“”„•…‹›€→←↑↓−×";

await mkdir(join(out, "fonts"), { recursive: true });
for (const { file, weights: [min, max] } of FONTS) {
  const subset = await subsetFont(await readFile(join(here, "node_modules", file)), SIGNS, {
    targetFormat: "woff2",
    noLayoutClosure: true,
    variationAxes: { wght: { min, max } },
  });
  await writeFile(join(out, "fonts", file.split("/").at(-1)), subset);
}
const options = { bundle: true, minify: true, target: "es2022", legalComments: "linked", logLevel: "warning" };
await build({ ...options, entryPoints: [join(here, "widgets.js")], outfile: join(out, "widgets.js"), format: "iife" });
// The editor is a chunk of its own, which widgets.js imports when one is opened.
await build({ ...options, entryPoints: [join(here, "editor.js")], outfile: join(out, "editor.js"), format: "esm" });
