// The page without a network: a service worker that keeps what the page is made of. The network is asked
// first, so that a new version is there at the next visit. `offline.mjs` puts the files' names in.
const FILES = [];
const CACHE = "playground";

addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => Promise.all(FILES.map((file) => cache.add(file)))).then(() => skipWaiting()),
  );
});

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { request } = event;
  const path = request.url.startsWith(registration.scope) ? request.url.slice(registration.scope.length) : null;
  const file = path?.split(/[?#]/)[0];
  // The API of `playground serve` is on the same origin: it is none of this script's business.
  if (request.method !== "GET" || file === undefined || (file !== "" && !FILES.includes(file))) return;
  event.respondWith(
    fetch(request)
      .then((response) => {
        if (response.ok) {
          const copy = response.clone();
          event.waitUntil(caches.open(CACHE).then((cache) => cache.put(file || "index.html", copy)));
        }
        return response;
      })
      .catch(async () => (await caches.match(new URL(file || "index.html", registration.scope))) ?? Response.error()),
  );
});
