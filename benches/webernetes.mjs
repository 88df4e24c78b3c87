// The work of `cargo xtask bench scale` for the npm package @ngrok/webernetes, to compare: one Deployment, from its
// creation to all of its pods ready. In Node it prints a line of JSON, in a browser it posts it to its host; its
// arguments are two words, nodes and pods. The package's modules need a bundler: xtask has esbuild do it.
import * as library from "@ngrok/webernetes";

const isPage = typeof document !== "undefined";
const words = isPage ? decodeURIComponent(location.search.slice(1)).split(" ") : process.argv.slice(2);
const [nodes, pods] = words.map(Number);
const memory = () => (isPage ? performance.memory.usedJSHeapSize : process.memoryUsage().rss);

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

async function measure() {
  const cluster = new library.Cluster({ nodes });
  cluster.registerImage(Web);
  await cluster.init();
  const before = memory();
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
    if (ready === pods) break;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const seconds = (performance.now() - began) / 1000;
  return { nodes, pods, seconds, podsPerSecond: pods / seconds, bytesPerPod: Math.round((memory() - before) / pods) };
}

const line = JSON.stringify(await measure().catch((error) => ({ error: String(error) })));
if (isPage) {
  await fetch("/told", { method: "POST", body: `${line}\n` });
} else {
  console.log(line);
  process.exit(0);
}
