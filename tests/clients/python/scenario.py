"""The official Python client: create, list in chunks, watch, patch each way, exec, delete."""

from kubernetes import client, config, watch
from kubernetes.stream import stream

MANAGER = "python-client"
NAMESPACE = "python"

config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()


def expect(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def config_map(name, data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"app": "py"}), data=data)


core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
for index in range(10):
    made = core.create_namespaced_config_map(NAMESPACE, config_map(f"c{index}", {"k": str(index)}))
    assert made.metadata.uid and made.metadata.creation_timestamp
try:
    core.create_namespaced_config_map(NAMESPACE, config_map("c0", {}))
    raise AssertionError("created twice")
except client.ApiException as error:
    expect((error.status, error.reason), (409, "Conflict"))

# Chunks of one revision.
names, token, versions = [], None, set()
while True:
    page = core.list_namespaced_config_map(NAMESPACE, label_selector="app=py", limit=4, _continue=token)
    names += [item.metadata.name for item in page.items]
    versions.add(page.metadata.resource_version)
    token = page.metadata._continue
    if not token:
        break
expect(names, [f"c{index}" for index in range(10)])
expect(len(versions), 1)
expect(len(core.list_config_map_for_all_namespaces(field_selector="metadata.name=c3").items), 1)

# A watch from that revision sees what comes after it, each patch as it was meant.
start = versions.pop()
core.patch_namespaced_config_map("c1", NAMESPACE, [{"op": "add", "path": "/data/json", "value": "1"}])
core.patch_namespaced_config_map("c1", NAMESPACE, {"data": {"strategic": "2", "k": None}})
core.delete_namespaced_config_map("c2", NAMESPACE)
seen = []
watcher = watch.Watch()
for event in watcher.stream(
    core.list_namespaced_config_map, NAMESPACE, resource_version=start, label_selector="app=py", timeout_seconds=30
):
    seen.append((event["type"], event["object"].metadata.name))
    if event["type"] == "DELETED":
        watcher.stop()
expect(seen, [("MODIFIED", "c1"), ("MODIFIED", "c1"), ("DELETED", "c2")])
expect(core.read_namespaced_config_map("c1", NAMESPACE).data, {"json": "1", "strategic": "2"})

# Server-side apply: a field has one manager until somebody insists.
applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": {"a": "1"}}
apply = {"_content_type": "application/apply-patch+yaml"}
core.patch_namespaced_config_map("s", NAMESPACE, applied, field_manager=MANAGER, **apply)
applied["data"] = {"a": "2"}
try:
    core.patch_namespaced_config_map("s", NAMESPACE, applied, field_manager="other", **apply)
    raise AssertionError("no conflict")
except client.ApiException as error:
    expect(error.status, 409)
core.patch_namespaced_config_map("s", NAMESPACE, applied, field_manager="other", force=True, **apply)
managers = core.read_namespaced_config_map("s", NAMESPACE).metadata.managed_fields
expect([entry.manager for entry in managers], ["other"])
merge = {"_content_type": "application/merge-patch+json"}
core.patch_namespaced_config_map("s", NAMESPACE, {"data": {"a": None}}, **merge)
assert not core.read_namespaced_config_map("s", NAMESPACE).data

# A workload, its scale and its status.
labels = {"app": "web"}
template = client.V1PodTemplateSpec(
    metadata=client.V1ObjectMeta(labels=labels),
    spec=client.V1PodSpec(containers=[client.V1Container(name="web", image="nginx")]),
)
spec = client.V1DeploymentSpec(replicas=1, selector=client.V1LabelSelector(match_labels=labels), template=template)
deployment = client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec)
apps.create_namespaced_deployment(NAMESPACE, deployment)
apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 2}})
for event in watcher.stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=60):
    if event["object"].status.ready_replicas == 2:
        watcher.stop()
expect(apps.read_namespaced_deployment_scale("web", NAMESPACE).status.replicas, 2)
replaced = apps.read_namespaced_deployment("web", NAMESPACE)
replaced.spec.replicas = 0
expect(apps.replace_namespaced_deployment("web", NAMESPACE, replaced).spec.replicas, 0)
try:
    apps.replace_namespaced_deployment("web", NAMESPACE, replaced)
    raise AssertionError("an old version replaced a new one")
except client.ApiException as error:
    expect(error.status, 409)

# A pod's log, and a command in it.
container = client.V1Container(name="main", image="busybox", command=["sh", "-c", "echo started; sleep 300"])
pod = client.V1Pod(metadata=client.V1ObjectMeta(name="talker"), spec=client.V1PodSpec(containers=[container]))
core.create_namespaced_pod(NAMESPACE, pod)
for event in watcher.stream(
    core.list_namespaced_pod, NAMESPACE, field_selector="metadata.name=talker", timeout_seconds=60
):
    if event["object"].status.phase == "Running":
        watcher.stop()
expect(core.read_namespaced_pod_log("talker", NAMESPACE), "started\n")
exec_pod = core.connect_get_namespaced_pod_exec
command = ["sh", "-c", "seq 3; echo wrong >&2; exit 3"]
streams = {"stdin": False, "stdout": True, "stderr": True, "tty": False}
session = stream(exec_pod, "talker", NAMESPACE, command=command, _preload_content=False, **streams)
session.run_forever(timeout=30)
expect((session.read_stdout(), session.read_stderr(), session.returncode), ("1\n2\n3\n", "wrong\n", 3))
streams["stdin"] = True
session = stream(exec_pod, "talker", NAMESPACE, command=["head", "-n1"], _preload_content=False, **streams)
session.write_stdin("typed\n")
session.run_forever(timeout=30)
expect((session.read_stdout(), session.returncode), ("typed\n", 0))

core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="app=py")
expect(core.list_namespaced_config_map(NAMESPACE, label_selector="app=py").items, [])
core.delete_namespace(NAMESPACE)
print("python: ok")
