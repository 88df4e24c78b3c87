//! Whatever a pod says, the kubelet goes on.

use proptest::prelude::*;
use serde_json::json;

use crate::common::Bed;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_text_anywhere(text in ".{0,40}", number in any::<i32>(), path in "[a-z/.$()]{0,20}") {
        let mut bed = Bed::new();
        bed.create(
            "web",
            json!({
                "restartPolicy": text,
                "hostname": text,
                "activeDeadlineSeconds": number,
                "terminationGracePeriodSeconds": number,
                "volumes": [{"name": path, "downwardAPI": {"items": [{"path": path, "fieldRef": {"fieldPath": text}}]}}],
                "containers": [{
                    "name": "app",
                    "image": text,
                    "command": [path, text],
                    "env": [{"name": text, "value": format!("$({text}")}, {"name": "B", "value": path}],
                    "ports": [{"containerPort": number, "hostPort": number}],
                    "resources": {"limits": {"cpu": text, "memory": number.to_string()}},
                    "livenessProbe": {
                        "httpGet": {"port": number, "path": path},
                        "periodSeconds": number,
                        "initialDelaySeconds": number,
                        "timeoutSeconds": number,
                    },
                }],
            }),
        );
        bed.run(20);
        prop_assert_ne!(bed.summary("web"), "gone");
        bed.api.delete_pod("web", bed.now, 1);
        bed.run(60);
        prop_assert_eq!(bed.summary("web"), "gone");
    }
}
