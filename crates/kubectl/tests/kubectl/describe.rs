//! `kubectl describe`

use crate::common::World;

#[test]
fn pod() {
    let world = World::new();
    world.file(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec:\n  containers:\n  - name: web\n    \
         image: nginx\n    ports: [{containerPort: 80}]\n    env: [{name: A, value: b}]\n  \
         automountServiceAccountToken: false\n",
    );
    world.run("create -f pod.yaml");
    world.check(
        "describe pod web",
        "
        Name:             web
        Namespace:        default
        Priority:         0
        Service Account:  default
        Node:             <none>
        Labels:           app=web
        Annotations:      <none>
        Status:           Pending
        IP:
        IPs:              <none>
        Containers:
          web:
            Image:      nginx
            Port:       80/TCP
            Host Port:  0/TCP
            Environment:
              A:         b
            Mounts:      <none>
        Volumes:         <none>
        QoS Class:       BestEffort
        Node-Selectors:  <none>
        Tolerations:     node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
                         node.kubernetes.io/unreachable:NoExecute op=Exists for 300s
        Events:          <none>
        ",
    );
    world.check("describe pod nope", "! Error from server (NotFound): pods \"nope\" not found\nexit 1");
}

#[test]
fn secret_and_config_map() {
    let world = World::new();
    world.run("create secret generic s --from-literal=password=secret");
    world.check(
        "describe secret s",
        "
        Name:         s
        Namespace:    default
        Labels:       <none>
        Annotations:  <none>

        Type:  Opaque

        Data
        ====
        password:  6 bytes
        ",
    );
}
