//! The server's `/stats/summary`: resource use by container, pod and node.

use bytes::Bytes;
use http::StatusCode;
use machinery::Timestamp;
use machinery::time::format_seconds;
use machinery::wire::Body;
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::runtime::{Outcome, RuntimeError};
use crate::server::refusal;

impl Kubelet {
    /// Answers those who asked for resource use.
    pub(crate) fn answer_stats(&mut self, now: Timestamp, result: Result<Outcome, RuntimeError>) {
        let waiting = std::mem::take(&mut self.stats_waiting);
        let stats = match result {
            Ok(Outcome::Stats(stats)) => stats,
            Ok(_) => Vec::new(),
            Err(error) => {
                for reply in waiting {
                    let _ =
                        reply.send(refusal(StatusCode::INTERNAL_SERVER_ERROR, error.message.as_str()).into_response());
                }
                return;
            }
        };
        let time = format_seconds(now);
        let usage = |cpu_nanos: u64, cpu_total: u64, memory: u64| {
            json!({
                "cpu": {"time": time, "usageNanoCores": cpu_nanos, "usageCoreNanoSeconds": cpu_total},
                "memory": {"time": time, "workingSetBytes": memory, "usageBytes": memory, "rssBytes": memory},
            })
        };
        let mut node = (0, 0, 0);
        let mut pods = Vec::new();
        let mut unknown = false;
        for slot in self.workers.values() {
            let meta = &slot.worker.pod.metadata;
            let mut sum = (0, 0, 0);
            let mut containers = Vec::new();
            for (name, container) in &slot.worker.containers {
                let Some(run) = &container.current else { continue };
                let Some(stat) = stats.iter().find(|stat| stat.container_id == run.id) else {
                    unknown |= container.is_running();
                    continue;
                };
                let one = (stat.cpu_nano_cores, stat.cpu_usage_ns, stat.memory_working_set_bytes);
                sum = (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2);
                let mut entry = usage(one.0, one.1, one.2);
                merge(&mut entry, json!({"name": name, "startTime": run.started_at.map(format_seconds)}));
                containers.push(entry);
            }
            if containers.is_empty() {
                continue;
            }
            node = (node.0 + sum.0, node.1 + sum.1, node.2 + sum.2);
            let mut entry = usage(sum.0, sum.1, sum.2);
            merge(
                &mut entry,
                json!({
                    "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
                    "startTime": format_seconds(slot.worker.start_time),
                    "containers": containers,
                }),
            );
            pods.push(entry);
        }
        // Nothing was measured where something runs: that is not a use of nothing.
        let mut summary = if unknown && pods.is_empty() { json!({}) } else { usage(node.0, node.1, node.2) };
        merge(&mut summary, json!({"nodeName": self.config.name}));
        let body = Bytes::from(json!({"node": summary, "pods": pods}).to_string());
        for reply in waiting {
            let mut response = http::Response::new(Body::Bytes(body.clone()));
            let json = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert(http::header::CONTENT_TYPE, json);
            // Whoever has gone away does not need the answer.
            let _ = reply.send(response);
        }
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
