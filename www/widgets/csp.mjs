// Puts the hash of each inline script into the page's Content-Security-Policy, in place of
// 'inline-hashes'. Trunk calls it after every build, when the scripts are final.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const page = join(process.env.TRUNK_STAGING_DIR, "index.html");
const html = await readFile(page, "utf8");
const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)];
const hashes = inline.map(([, text]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`);
await writeFile(page, html.replace("'inline-hashes'", hashes.join(" ")));
