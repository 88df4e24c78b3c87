// Says which modules of the first folder `unpack.js` does not put together as they are in the second.
// `cargo xtask split` asks after it has written them.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { runInThisContext } from "node:vm";

const [wired, whole] = process.argv.slice(2);
runInThisContext(await readFile(join("www", "unpack.js"), "utf8"));
for (const name of await readdir(whole)) {
  const [packed, wanted] = await Promise.all([readFile(join(wired, name)), readFile(join(whole, name))]);
  let same = false;
  try {
    same = Buffer.compare(unpackModule(new Uint8Array(packed)), wanted) === 0;
  } catch (error) {
    console.error(error);
  }
  if (!same) console.log(name);
}
