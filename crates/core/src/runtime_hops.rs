//! What kubelets ask of their container runtimes, as hops of the trace.

use k8s_openapi::api::core::v1::Pod;
use kubelet::runtime::Operation;
use sim::Executor;

use crate::control::HopKind;
use crate::trace::Trace;

/// Reports what the kubelet of a node asks of its runtime.
pub(crate) fn observer(node: &str, executor: Executor, trace: Trace) -> kubelet::Observer {
    let (kubelet, runtime) = (format!("kubelet/{node}"), format!("runtime/{node}"));
    Box::new(move |pod: &Pod, operation: &Operation| {
        if let Some(verb) = verb(operation)
            && trace.is_watched()
        {
            let object = format!("pods/{}", client::key_of(pod));
            trace.report(executor.now(), HopKind::Runtime, &kubelet, &runtime, verb, &object);
        }
    })
}

/// The name of an operation in CRI; none for those that only look, and for probes, which never end.
fn verb(operation: &Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::RunPodSandbox(_) => "RunPodSandbox",
        Operation::StopPodSandbox { .. } => "StopPodSandbox",
        Operation::RemovePodSandbox { .. } => "RemovePodSandbox",
        Operation::PullImage { .. } => "PullImage",
        Operation::CreateContainer { .. } => "CreateContainer",
        Operation::StartContainer { .. } => "StartContainer",
        Operation::UpdateContainer { .. } => "UpdateContainerResources",
        Operation::StopContainer { .. } => "StopContainer",
        Operation::RemoveContainer { .. } => "RemoveContainer",
        Operation::List
        | Operation::SetUpVolumes { .. }
        | Operation::TearDownVolumes { .. }
        | Operation::ImageStatus { .. }
        | Operation::ListImages
        | Operation::ExecSync { .. }
        | Operation::HttpGet { .. }
        | Operation::TcpDial { .. }
        | Operation::GrpcCheck { .. }
        | Operation::NodeUse
        | Operation::ListStats => return None,
    })
}
