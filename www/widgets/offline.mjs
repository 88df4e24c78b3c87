// Puts the names of all that Trunk has built into the service worker. Trunk calls it last in every build.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";

const folder = process.env.TRUNK_STAGING_DIR;
const entries = await readdir(folder, { recursive: true, withFileTypes: true });
const files = entries
  .filter((entry) => entry.isFile() && entry.name !== "offline.js")
  .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
  .sort();
// What nobody needs who only looks in: chunks, the editor and the lessons' texts.
const isLater = (file) => /^(split_|chunk_|editor|lessons\/(?!index\.json))/.test(file);
const list = (name, files) => [`${name} = []`, `${name} = ${JSON.stringify(files)}`];
const script = await readFile(join("www", "offline.js"), "utf8");
await writeFile(
  join(folder, "offline.js"),
  script.replace(...list("FIRST", files.filter((file) => !isLater(file)))).replace(...list("LATER", files.filter(isLater))),
);
