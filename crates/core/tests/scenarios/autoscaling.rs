//! Deployments grow and shrink with what their pods use.

use std::time::Duration;

use crate::lab::Lab;
use crate::test;

const BUSY: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: busy}\nspec:\n  selector: {matchLabels: {app: busy}}\n  template:\n    metadata: {labels: {app: busy}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      containers:\n      - {name: c, image: polinux/stress, command: [stress], args: [--cpu, \"1\"], resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}}\n";

#[test]
fn a_busy_deployment_grows_to_its_limit() {
    let lab = Lab::new(2);
    lab.ok(&format!("cat > busy.yaml <<'EOF'\n{BUSY}EOF\nkubectl apply -f busy.yaml"));
    lab.ok("kubectl autoscale deployment busy --cpu-percent=50 --min=1 --max=6");
    lab.until("kubectl get deployment busy", |table| table.contains("6/6"));
    let described = lab.ok("kubectl describe hpa busy");
    assert!(described.contains("SuccessfulRescale"), "{described}");
    assert!(
        described.contains("New size: 4; reason: cpu resource utilization (percentage of request) above target"),
        "{described}"
    );
    lab.until("kubectl describe hpa busy", |text| {
        text.contains("the desired replica count is more than the maximum replica count")
    });
    assert!(lab.ok("kubectl get hpa busy").contains("%/50%"), "{}", lab.ok("kubectl get hpa busy"));

    // At rest it shrinks, but only after five minutes.
    lab.ok("kubectl patch deployment busy --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/args\",\"value\":[\"--vm\",\"1\",\"--vm-bytes\",\"1M\",\"--vm-hang\",\"0\"]}]'");
    lab.ok("kubectl rollout status deployment/busy");
    lab.pass(Duration::from_secs(120));
    assert!(lab.ok("kubectl get deployment busy").contains("6/6"));
    lab.until("kubectl get deployment busy", |table| table.contains("1/1"));
}
