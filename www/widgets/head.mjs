// What the page's head says to a browser, once Trunk has put everything in: Trunk calls it after every build.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const page = join(process.env.TRUNK_STAGING_DIR, "index.html");
let html = await readFile(page, "utf8");

// The page's own program is asked for before the scripts that come before it, not after them.
const preloads = html.match(/<link rel="(?:modulepreload|preload)"[^>]*>/g) ?? [];
for (const link of preloads) html = html.replace(link, "");
html = html.replace("<script>", [...preloads, "<script>"].join("\n    "));

// The hash of each inline script in the Content-Security-Policy, in place of 'inline-hashes'.
const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)];
const hashes = inline.map(([, text]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`);
await writeFile(page, html.replace("'inline-hashes'", hashes.join(" ")));
