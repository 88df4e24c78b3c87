// The official JavaScript client: create, list in chunks, watch, patch each way, exec, delete.

import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const namespace = 'javascript';

const configMap = (name, data) => ({ metadata: { name, labels: { app: 'js' } }, data });
const refused = async (code, attempt) => assert.rejects(attempt, (error) => error.code === code);

/** The events of a watch, until one of them is the last. */
const events = (path, query, isLast) =>
  new Promise((resolve, reject) => {
    const seen = [];
    let ended = false;
    let request;
    const end = (outcome, value) => {
      ended = true;
      outcome(value);
    };
    const each = (type, object) => {
      if (ended) return;
      seen.push([type, object.metadata.name]);
      if (isLast(type, object)) {
        end(resolve, seen);
        request.then((controller) => controller.abort());
      }
    };
    request = new k8s.Watch(config).watch(path, query, each, (error) => {
      if (!ended) end(reject, error ?? new Error(`the watch ended after ${JSON.stringify(seen)}`));
    });
  });

await core.createNamespace({ body: { metadata: { name: namespace } } });
for (let index = 0; index < 10; index++) {
  const made = await core.createNamespacedConfigMap({ namespace, body: configMap(`c${index}`, { k: `${index}` }) });
  assert.ok(made.metadata.uid);
}
await refused(409, core.createNamespacedConfigMap({ namespace, body: configMap('c0', {}) }));

// Chunks of one revision.
const names = [];
const versions = new Set();
let token;
do {
  const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'app=js', limit: 4, _continue: token });
  names.push(...page.items.map((item) => item.metadata.name));
  versions.add(page.metadata.resourceVersion);
  token = page.metadata._continue;
} while (token);
assert.deepEqual(names, [...Array(10).keys()].map((index) => `c${index}`));
assert.equal(versions.size, 1);

// A watch from that revision sees what comes after it, each patch as it was meant.
const patch = (name, type, body, more = {}) =>
  core.patchNamespacedConfigMap({ name, namespace, body, ...more }, k8s.setHeaderOptions('Content-Type', type));
await patch('c1', k8s.PatchStrategy.JsonPatch, [{ op: 'add', path: '/data/json', value: '1' }]);
await patch('c1', k8s.PatchStrategy.MergePatch, { data: { merge: '2' } });
await patch('c1', k8s.PatchStrategy.StrategicMergePatch, { data: { strategic: '3', k: null } });
await core.deleteNamespacedConfigMap({ name: 'c2', namespace });
const path = `/api/v1/namespaces/${namespace}/configmaps`;
const query = { resourceVersion: [...versions][0], labelSelector: 'app=js', timeoutSeconds: 30 };
assert.deepEqual(await events(path, query, (type) => type === 'DELETED'), [
  ['MODIFIED', 'c1'],
  ['MODIFIED', 'c1'],
  ['MODIFIED', 'c1'],
  ['DELETED', 'c2'],
]);
const c1 = await core.readNamespacedConfigMap({ name: 'c1', namespace });
assert.deepEqual(c1.data, { json: '1', merge: '2', strategic: '3' });

// Server-side apply: a field has one manager until somebody insists.
const applied = (a) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 's' }, data: { a } });
const apply = (body, more) => patch('s', k8s.PatchStrategy.ServerSideApply, body, more);
await apply(applied('1'), { fieldManager: 'javascript-client' });
await refused(409, apply(applied('2'), { fieldManager: 'other' }));
await apply(applied('2'), { fieldManager: 'other', force: true });
const managers = (await core.readNamespacedConfigMap({ name: 's', namespace })).metadata.managedFields;
assert.deepEqual(managers.map((entry) => entry.manager), ['other']);

// A workload, and an informer that hears of it.
const labels = { app: 'web' };
const template = { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'nginx' }] } };
const body = { metadata: { name: 'web' }, spec: { replicas: 2, selector: { matchLabels: labels }, template } };
await apps.createNamespacedDeployment({ namespace, body });
const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
await events(deployments, { timeoutSeconds: 60 }, (_, deployment) => deployment.status?.readyReplicas === 2);
const scale = await apps.readNamespacedDeploymentScale({ name: 'web', namespace });
assert.equal(scale.status.replicas, 2);

// A pod's log, and a command in it.
const containers = [{ name: 'main', image: 'busybox', command: ['sh', '-c', 'echo started; sleep 300'] }];
await core.createNamespacedPod({ namespace, body: { metadata: { name: 'talker' }, spec: { containers } } });
const talker = { timeoutSeconds: 60, fieldSelector: 'metadata.name=talker' };
await events(`/api/v1/namespaces/${namespace}/pods`, talker, (_, pod) => pod.status?.phase === 'Running');
assert.equal(await core.readNamespacedPodLog({ name: 'talker', namespace }), 'started\n');
const exec = async (command, input) => {
  const [output, error] = [new PassThrough(), new PassThrough()];
  const status = await new Promise((resolve, reject) => {
    const stdin = input === undefined ? null : Readable.from([input]);
    new k8s.Exec(config).exec(namespace, 'talker', 'main', command, output, error, stdin, false, resolve).catch(reject);
  });
  return [status.status, `${output.read() ?? ''}`, `${error.read() ?? ''}`];
};
assert.deepEqual(await exec(['sh', '-c', 'seq 3; echo wrong >&2']), ['Success', '1\n2\n3\n', 'wrong\n']);
assert.deepEqual(await exec(['head', '-n1'], 'typed\n'), ['Success', 'typed\n', '']);
assert.equal((await exec(['sh', '-c', 'exit 3']))[0], 'Failure');

await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'app=js' });
assert.deepEqual((await core.listNamespacedConfigMap({ namespace, labelSelector: 'app=js' })).items, []);
await core.deleteNamespace({ name: namespace });
console.log('javascript: ok');
