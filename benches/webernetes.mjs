// The work of `cargo xtask bench scale` for the npm package @ngrok/webernetes, to compare: one Deployment, from its
// creation to all of its pods ready. Prints a line of JSON. The package's modules need a bundler:
//
//     npm install --no-save @ngrok/webernetes esbuild
//     npx esbuild benches/webernetes.mjs --bundle --platform=node --format=esm --outfile=/tmp/webernetes.mjs
//     node /tmp/webernetes.mjs NODES PODS
import * as library from "@ngrok/webernetes";

const [nodes, pods] = process.argv.slice(2).map(Number);

class Web extends library.BaseImage {
  static imageName = "web";
  static imageVersion = "1.0";
  defaultCommand = ["server"];

  async exec(context, argv) {
    if (argv[0] !== "server") return super.exec(context, argv);
    context.listenHttp(8080, async () => ({ statusCode: 200, body: "hello\n" }));
    return context.waitUntilKilled();
  }
}

const cluster = new library.Cluster({ nodes });
cluster.registerImage(Web);
await cluster.init();
const before = process.memoryUsage().rss;
const began = performance.now();
await cluster.apply([
  {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "default" },
    spec: {
      replicas: pods,
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: { containers: [{ name: "web", image: "web:1.0" }] },
      },
    },
  },
]);
for (;;) {
  const found = await cluster.api.appsv1.readNamespacedDeployment({ name: "web", namespace: "default" });
  const ready = (found.body ?? found).status?.readyReplicas ?? 0;
  if (process.env.VERBOSE) console.error(Math.round(performance.now() - began), ready);
  if (ready === pods) break;
  await new Promise((resolve) => setTimeout(resolve, 500));
}
const seconds = (performance.now() - began) / 1000;
const bytesPerPod = Math.round((process.memoryUsage().rss - before) / pods);
console.log(JSON.stringify({ nodes, pods, seconds, podsPerSecond: pods / seconds, bytesPerPod }));
process.exit(0);
