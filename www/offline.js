// The page without a network: a service worker that keeps what the page is made of. The network is asked
// first, so that a new version is there at the next visit. `offline.mjs` puts the files' names in.
const FIRST = [];
// What loads when it is first used. Soon after any of it is used, or when the page is installed, all of it is kept:
// who only looks in transfers none of it, who begins to work can go on without a network.
const LATER = [];
const CACHE = "playground";
// What is asked for now goes first.
const LATER_MS = 3000;

const address = (file) => new URL(file || "index.html", registration.scope);

let keeping;
// What fails is tried again at the next use.
const keepLater = () => (keeping ??= keepMissing().catch(() => (keeping = undefined)));

async function keepMissing() {
  await new Promise((done) => setTimeout(done, LATER_MS));
  const cache = await caches.open(CACHE);
  for (const file of LATER) if (!(await cache.match(address(file)))) await cache.add(file);
}

addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    // All or nothing of what loads later: chunks of two versions do not fit together.
    const kept = (await Promise.all(LATER.map((file) => cache.match(address(file))))).some(Boolean);
    await Promise.all([...FIRST, ...(kept ? LATER : [])].map((file) => cache.add(file)));
    await skipWaiting();
  };
  event.waitUntil(keep());
});

addEventListener("message", (event) => event.data === "keep" && event.waitUntil(keepLater()));

// What an earlier version was made of goes when no page of it can be open any more.
async function tidy() {
  if ((await clients.matchAll({ includeUncontrolled: true })).length > 1) return;
  const known = new Set([...FIRST, ...LATER, ""].map((file) => address(file).href));
  const cache = await caches.open(CACHE);
  for (const request of await cache.keys()) if (!known.has(request.url)) await cache.delete(request);
}

addEventListener("activate", (event) => event.waitUntil(clients.claim().then(tidy)));

addEventListener("fetch", (event) => {
  const { request } = event;
  const path = request.url.startsWith(registration.scope) ? request.url.slice(registration.scope.length) : null;
  const file = path?.split(/[?#]/)[0];
  const later = LATER.includes(file);
  // A chunk of the version that a page has which was open before this one came.
  if (!later && /^(split|chunk)_/.test(file ?? "")) {
    event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
    return;
  }
  // The API of `playground serve` is on the same origin: it is none of this script's business.
  if (request.method !== "GET" || file === undefined || (file !== "" && !later && !FIRST.includes(file))) return;
  event.respondWith(
    fetch(request)
      .then((response) => {
        if (response.ok) {
          const copy = response.clone();
          const keep = caches.open(CACHE).then((cache) => cache.put(address(file), copy));
          event.waitUntil(later ? keep.then(keepLater) : keep);
        }
        return response;
      })
      .catch(async () => (await caches.match(address(file))) ?? Response.error()),
  );
});
