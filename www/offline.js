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

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { request } = event;
  const path = request.url.startsWith(registration.scope) ? request.url.slice(registration.scope.length) : null;
  const file = path?.split(/[?#]/)[0];
  const later = LATER.includes(file);
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
