// Bundles the page's JavaScript widgets and copies the fonts' files, into dist/ beside this file.
// Trunk calls it before every build (Trunk.toml); `npm ci` must have run once.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "dist");

// One variable file a family, Latin only: other scripts fall back to the system's fonts.
const FONTS = [
  "@fontsource-variable/instrument-sans/files/instrument-sans-latin-wght-normal.woff2",
  "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
];

await mkdir(join(out, "fonts"), { recursive: true });
for (const font of FONTS) {
  await copyFile(join(here, "node_modules", font), join(out, "fonts", font.split("/").at(-1)));
}
await build({
  entryPoints: [join(here, "terminal.js")],
  outfile: join(out, "widgets.js"),
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "linked",
  logLevel: "warning",
});
