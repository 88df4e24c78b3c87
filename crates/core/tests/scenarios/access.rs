//! Who may do what, as the learner finds out.

use crate::lab::Lab;
use crate::test;

#[test]
fn a_pod_has_its_accounts_token() {
    let lab = Lab::new(1);
    lab.until("kubectl get serviceaccounts", |table| table.contains("default"));
    lab.ok("kubectl create serviceaccount robot");
    lab.ok("kubectl run web --image=nginx --overrides='{\"spec\": {\"serviceAccountName\": \"robot\"}}'");
    lab.ok("kubectl wait --for=condition=Ready pod/web --timeout=120s");
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert_eq!(lab.ok(&format!("kubectl exec web -- ls {folder}")), "ca.crt\nnamespace\ntoken\n");
    assert_eq!(lab.ok(&format!("kubectl exec web -- cat {folder}/namespace")), "default");
    let token = lab.ok(&format!("kubectl exec web -- cat {folder}/token"));
    let who = lab.ok(&format!("kubectl auth whoami --token={token}"));
    assert!(who.contains("system:serviceaccount:default:robot") && who.contains("pod-name"), "{who}");

    let list = format!("kubectl get pods --token={token}");
    let (_, refused) = lab.fails(&list);
    assert_eq!(
        refused,
        "Error from server (Forbidden): pods is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"\n"
    );
    let ask = "kubectl auth can-i list pods --as=system:serviceaccount:default:robot";
    assert_eq!(lab.run(ask).stdout, "no\n");
    lab.ok("kubectl create rolebinding robot-views --clusterrole=view --serviceaccount=default:robot");
    assert_eq!(lab.ok(ask), "yes\n");
    assert!(lab.ok(&list).contains("web"));
}

#[test]
fn a_quota_holds_back_a_deployment() {
    let lab = Lab::new(1);
    lab.ok("kubectl create quota few --hard=pods=2");
    lab.ok("kubectl create deployment web --image=nginx --replicas=4");
    lab.until("kubectl get deployment web", |table| table.contains("2/4"));
    let events = lab.ok("kubectl get events");
    assert!(events.contains("exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2"), "{events}");
    // A pod that goes leaves its place to another.
    lab.ok("kubectl delete pod --all");
    lab.until("kubectl get deployment web", |table| table.contains("2/4"));
    lab.until("kubectl get quota few -o jsonpath='{.status.used.pods}'", |used| used == "2");
}
