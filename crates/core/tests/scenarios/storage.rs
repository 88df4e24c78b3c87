//! Claims get their volumes.

use crate::lab::Lab;
use crate::test;

const CLAIM: &str = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec:\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: writer}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - {name: c, image: nginx:1.27, volumeMounts: [{name: data, mountPath: /data}]}\n  volumes:\n  - {name: data, persistentVolumeClaim: {claimName: data}}\n";

fn apply(lab: &Lab, manifest: &str) {
    lab.ok(&format!("cat > object.yaml <<'EOF'\n{manifest}EOF\nkubectl apply -f object.yaml"));
}

#[test]
fn a_claim_waits_for_its_first_consumer_and_goes_with_it() {
    let lab = Lab::new(3);
    apply(&lab, CLAIM);
    let described = lab.until("kubectl describe pvc data", |text| text.contains("WaitForFirstConsumer"));
    assert!(described.contains("waiting for first consumer to be created before binding"), "{described}");
    assert!(lab.ok("kubectl get pvc data").contains("Pending"));
    apply(&lab, POD);
    lab.until("kubectl get pod writer", |table| table.contains("1/1"));
    let claim = lab.ok("kubectl get pvc data");
    assert!(claim.contains("Bound") && claim.contains("1Gi") && claim.contains("standard"), "{claim}");
    let events = lab.ok("kubectl describe pvc data");
    let uid = lab.ok("kubectl get pvc data -o jsonpath={.metadata.uid}");
    assert!(events.contains(&format!("Successfully provisioned volume pvc-{uid}")), "{events}");
    assert!(events.contains("Waiting for a volume to be created either by the external provisioner"), "{events}");
    let node = lab.ok("kubectl get pod writer -o jsonpath={.spec.nodeName}");
    let volume = lab.ok(&format!("kubectl get pv pvc-{uid} -o yaml"));
    assert!(volume.contains(&node) && volume.contains("persistentVolumeReclaimPolicy: Delete"), "{volume}");

    // What is written stays when the pod goes, and so does the next pod's node.
    lab.ok("kubectl exec writer -- sh -c 'echo kept > /data/file'");
    lab.ok("kubectl delete pod writer");
    apply(&lab, POD);
    lab.until("kubectl get pod writer", |table| table.contains("1/1"));
    assert_eq!(lab.ok("kubectl get pod writer -o jsonpath={.spec.nodeName}"), node);
    assert_eq!(lab.ok("kubectl exec writer -- cat /data/file"), "kept\n");

    // In use, it does not go.
    lab.ok("kubectl delete pvc data --wait=false");
    lab.until("kubectl get pvc data", |table| table.contains("Terminating"));
    lab.ok("kubectl delete pod writer");
    lab.until("kubectl get pvc,pv --ignore-not-found", |text| !text.contains("data"));
}

#[test]
fn pods_that_come_together_share_a_claim() {
    let lab = Lab::new(3);
    apply(&lab, CLAIM);
    let deployment = POD
        .replace("apiVersion: v1\nkind: Pod\nmetadata: {name: writer}\nspec:\n", "    spec:\n")
        .replace("\n  ", "\n      ");
    let head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: writers}\nspec:\n  replicas: 3\n  selector: \
                {matchLabels: {app: writers}}\n  template:\n    metadata: {labels: {app: writers}}\n";
    apply(&lab, &format!("{head}{deployment}"));
    lab.until("kubectl get deployment writers", |table| table.contains("3/3"));
    let nodes = lab.ok("kubectl get pods -o jsonpath='{range .items[*]}{.spec.nodeName}{\"\\n\"}{end}' | sort -u");
    assert_eq!(nodes.lines().count(), 1, "the volume is on one node: {nodes}");
    assert_eq!(lab.ok("kubectl get events --field-selector reason=FailedScheduling"), "");
}

#[test]
fn claims_that_come_together_get_a_volume_each() {
    const COUNT: usize = 16;
    let lab = Lab::new(1);
    let volume = |index: usize| {
        format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: v{index}}}\nspec: {{storageClassName: manual, \
             accessModes: [ReadWriteOnce], capacity: {{storage: 1Gi}}, hostPath: {{path: /v{index}}}}}\n---\n"
        )
    };
    let claim = |index: usize| {
        let claim = CLAIM.replace("name: data", &format!("name: c{index}"));
        format!("{}---\n", claim.replace("spec:\n", "spec:\n  storageClassName: manual\n"))
    };
    apply(&lab, &(0..COUNT).map(volume).chain((0..COUNT).map(claim)).collect::<String>());
    let bound = "kubectl wait --for=jsonpath={.status.phase}=Bound pvc --all --timeout=2s | wc -l";
    assert_eq!(lab.ok(bound).trim(), COUNT.to_string());
}

#[test]
fn a_claim_without_its_volume_says_so() {
    let lab = Lab::new(1);
    apply(&lab, &POD.replace("writer", "hopeful"));
    lab.until("kubectl describe pod hopeful", |text| {
        text.contains("0/1 nodes are available: persistentvolumeclaim \"data\" not found. preemption: 0/1 nodes")
    });
    apply(&lab, &CLAIM.replace("spec:\n", "spec:\n  storageClassName: \"\"\n"));
    lab.until("kubectl describe pod hopeful", |text| text.contains("pod has unbound immediate PersistentVolumeClaims"));
    lab.until("kubectl describe pvc data", |text| {
        text.contains("no persistent volumes available for this claim and no storage class is set")
    });
    apply(
        &lab,
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: disk}\nspec:\n  accessModes: [ReadWriteOnce]\n  capacity: {storage: 2Gi}\n  hostPath: {path: /mnt/disk}\n",
    );
    lab.until("kubectl get pod hopeful", |table| table.contains("1/1"));
    assert!(lab.ok("kubectl get pvc data").contains("disk"));
}

#[test]
fn a_volume_to_be_recycled_is_empty_for_the_next_claim() {
    let lab = Lab::new(1);
    apply(
        &lab,
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: scratch}\nspec:\n  accessModes: [ReadWriteOnce]\n  \
         capacity: {storage: 2Gi}\n  persistentVolumeReclaimPolicy: Recycle\n  hostPath: {path: /mnt/scratch}\n",
    );
    let claim = CLAIM.replace("spec:\n", "spec:\n  storageClassName: \"\"\n");
    for _ in 0..2 {
        apply(&lab, &claim);
        apply(&lab, POD);
        lab.until("kubectl get pod writer", |table| table.contains("1/1"));
        assert_eq!(lab.ok("kubectl exec writer -- ls -A /data"), "");
        lab.ok("kubectl exec writer -- sh -c 'echo a > /data/file; echo b > /data/.hidden; mkdir /data/directory'");
        lab.ok("kubectl delete pod writer && kubectl delete pvc data");
        lab.until("kubectl get pv scratch", |table| table.contains("Available"));
    }
    lab.until("kubectl describe pv scratch", |text| {
        text.contains("VolumeRecycled") && text.contains("Volume recycled")
    });
}

#[test]
fn pods_that_share_a_claim_go_where_its_volume_is() {
    let lab = Lab::new(4);
    let other = POD.replace("writer", "reader");
    lab.apply(&format!("{CLAIM}---\n{POD}---\n{other}"));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    let node = |pod: &str| lab.ok(&format!("kubectl get pod {pod} -o jsonpath={{.spec.nodeName}}"));
    assert_eq!(node("writer"), node("reader"));
}

#[test]
fn a_claim_for_one_pod_is_used_by_one_pod_wherever_that_is() {
    let lab = Lab::new(3);
    lab.apply(&CLAIM.replace("ReadWriteOnce", "ReadWriteOncePod"));
    lab.apply(POD);
    lab.until("kubectl get pod writer", |table| table.contains("1/1"));
    // A volume that all nodes reach would not keep the other one away.
    lab.apply(&POD.replace("writer", "reader"));
    lab.until("kubectl describe pod reader", |text| {
        text.contains("2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode")
    });
    lab.ok("kubectl delete pod writer");
    lab.until("kubectl get pod reader", |table| table.contains("1/1"));
}

#[test]
fn a_node_gets_no_more_volumes_than_its_driver_allows() {
    let lab = Lab::new(1);
    apply(
        &lab,
        "apiVersion: storage.k8s.io/v1\nkind: CSINode\nmetadata: {name: hello-control-plane}\nspec:\n  drivers:\n  - \
         {name: disk.example.com, nodeID: one, topologyKeys: [], allocatable: {count: 1}}\n",
    );
    for name in ["a", "b"] {
        apply(
            &lab,
            &format!(
                "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec:\n  capacity: {{storage: 1Gi}}\n  \
                 accessModes: [ReadWriteOnce]\n  csi: {{driver: disk.example.com, volumeHandle: {name}}}\n---\n{}\n---\n{}",
                CLAIM
                    .replace("name: data", &format!("name: {name}"))
                    .replace("spec:\n", &format!("spec:\n  storageClassName: \"\"\n  volumeName: {name}\n")),
                POD.replace("name: writer", &format!("name: {name}"))
                    .replace("claimName: data", &format!("claimName: {name}")),
            ),
        );
    }
    let scheduled = "kubectl get pods -o jsonpath='{.items[?(@.spec.nodeName)].metadata.name}'";
    let first = lab.until(scheduled, |names| !names.is_empty());
    let second = if first == "a" { "b" } else { "a" };
    lab.until(&format!("kubectl describe pod {second}"), |text| {
        text.contains("0/1 nodes are available: 1 node(s) exceed max volume count.")
    });
    lab.ok(&format!("kubectl delete pod {first} --grace-period=0 --force"));
    lab.until(scheduled, |names| names == second);
}
