//! Ephemeral containers are containers with one more field: what is said of containers is said of them.

use std::mem;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer};

/// Changes an ephemeral container as a container.
pub fn change(ephemeral: &mut EphemeralContainer, change: fn(&mut Container)) {
    let target = ephemeral.target_container_name.take();
    let mut container = to_container(mem::take(ephemeral));
    change(&mut container);
    *ephemeral = from_container(container, target);
}

/// A container of one type made of another's fields, all that both have.
macro_rules! with_fields_of {
    ($to:ident, $from:ident $(, $own:ident)*) => {
        $to {
            $($own,)*
            args: $from.args,
            command: $from.command,
            env: $from.env,
            env_from: $from.env_from,
            image: $from.image,
            image_pull_policy: $from.image_pull_policy,
            lifecycle: $from.lifecycle,
            liveness_probe: $from.liveness_probe,
            name: $from.name,
            ports: $from.ports,
            readiness_probe: $from.readiness_probe,
            resize_policy: $from.resize_policy,
            resources: $from.resources,
            restart_policy: $from.restart_policy,
            restart_policy_rules: $from.restart_policy_rules,
            security_context: $from.security_context,
            startup_probe: $from.startup_probe,
            stdin: $from.stdin,
            stdin_once: $from.stdin_once,
            termination_message_path: $from.termination_message_path,
            termination_message_policy: $from.termination_message_policy,
            tty: $from.tty,
            volume_devices: $from.volume_devices,
            volume_mounts: $from.volume_mounts,
            working_dir: $from.working_dir,
        }
    };
}

/// The container that an ephemeral container is, apart from its target.
pub fn to_container(ephemeral: EphemeralContainer) -> Container {
    with_fields_of!(Container, ephemeral)
}

fn from_container(container: Container, target_container_name: Option<String>) -> EphemeralContainer {
    with_fields_of!(EphemeralContainer, container, target_container_name)
}
