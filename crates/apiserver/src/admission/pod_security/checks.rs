//! What the standards forbid: one function a check, in the order of upstream's ids, in its words.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Capabilities, ContainerPort, LifecycleHandler, PodSecurityContext, PodSpec, Probe, SELinuxOptions, SecurityContext,
    Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::go;

use super::{Level, Standard};

/// What is wrong with a pod.
pub(super) struct Violation {
    /// In short: `privileged`.
    pub(super) reason: String,
    /// Where and why; may be empty.
    pub(super) detail: String,
}

/// A check: the level it belongs to, the minor version it came with, the check of the level below that it
/// stands in for, and what it finds.
struct Check {
    id: &'static str,
    level: Level,
    since: u32,
    instead_of: &'static str,
    find: fn(&View<'_>) -> Option<Violation>,
}

const fn baseline(id: &'static str, since: u32, find: fn(&View<'_>) -> Option<Violation>) -> Check {
    Check { id, level: Level::Baseline, since, instead_of: "", find }
}

const fn restricted(
    id: &'static str,
    since: u32,
    instead_of: &'static str,
    find: fn(&View<'_>) -> Option<Violation>,
) -> Check {
    Check { id, level: Level::Restricted, since, instead_of, find }
}

const CHECKS: [Check; 18] = [
    baseline("appArmorProfile", 0, app_armor),
    baseline("capabilities_baseline", 0, capabilities),
    baseline("hostNamespaces", 0, host_namespaces),
    baseline("hostPathVolumes", 0, host_path),
    baseline("hostPorts", 0, host_ports),
    baseline("hostProbesAndHostLifecycle", 34, probe_hosts),
    baseline("privileged", 0, privileged),
    baseline("procMount", 0, proc_mount),
    baseline("seLinuxOptions", 0, se_linux),
    baseline("seccompProfile_baseline", 19, seccomp),
    baseline("sysctls", 0, sysctls),
    baseline("windowsHostProcess", 0, host_process),
    restricted("allowPrivilegeEscalation", 8, "", escalation),
    restricted("capabilities_restricted", 22, "capabilities_baseline", all_capabilities),
    restricted("restrictedVolumes", 0, "hostPathVolumes", volumes),
    restricted("runAsNonRoot", 0, "", non_root),
    restricted("runAsUser", 23, "", not_user_zero),
    restricted("seccompProfile_restricted", 19, "seccompProfile_baseline", seccomp_set),
];

/// What a standard finds wrong with a pod.
pub(super) fn violations(standard: Standard, metadata: &ObjectMeta, spec: &PodSpec) -> Vec<Violation> {
    if standard.level == Level::Privileged {
        return Vec::new();
    }
    let view = View::new(metadata, spec);
    let applies =
        |check: &&Check| check.level <= standard.level && standard.minor.is_none_or(|minor| minor >= check.since);
    let applying: Vec<&Check> = CHECKS.iter().filter(applies).collect();
    let replaced = |check: &&&Check| !applying.iter().any(|other| other.instead_of == check.id);
    applying.iter().filter(replaced).filter_map(|check| (check.find)(&view)).collect()
}

/// A container of any kind.
struct Part<'a> {
    name: &'a str,
    security: Option<&'a SecurityContext>,
    ports: &'a [ContainerPort],
    probes: [Option<&'a Probe>; 3],
    handlers: [Option<&'a LifecycleHandler>; 2],
}

/// A pod as the checks look at it.
struct View<'a> {
    metadata: &'a ObjectMeta,
    spec: &'a PodSpec,
    security: Option<&'a PodSecurityContext>,
    /// Init containers, containers, ephemeral containers.
    parts: Vec<Part<'a>>,
    is_windows: bool,
    /// Whether the pod has users of its own, so that its root is nobody on the node.
    has_own_users: bool,
}

impl<'a> View<'a> {
    fn new(metadata: &'a ObjectMeta, spec: &'a PodSpec) -> Self {
        let ordinary = spec.init_containers.iter().flatten().chain(&spec.containers);
        let mut parts: Vec<Part<'a>> = ordinary
            .map(|container| Part {
                name: &container.name,
                security: container.security_context.as_ref(),
                ports: container.ports.as_deref().unwrap_or_default(),
                probes: [&container.liveness_probe, &container.readiness_probe, &container.startup_probe]
                    .map(Option::as_ref),
                handlers: container
                    .lifecycle
                    .as_ref()
                    .map_or([None, None], |lifecycle| [lifecycle.post_start.as_ref(), lifecycle.pre_stop.as_ref()]),
            })
            .collect();
        parts.extend(spec.ephemeral_containers.iter().flatten().map(|container| Part {
            name: &container.name,
            security: container.security_context.as_ref(),
            ports: container.ports.as_deref().unwrap_or_default(),
            probes: [None; 3],
            handlers: [None; 2],
        }));
        let is_windows = spec.os.as_ref().is_some_and(|os| os.name == "windows");
        let has_own_users = spec.host_users == Some(false);
        Self { metadata, spec, security: spec.security_context.as_ref(), parts, is_windows, has_own_users }
    }

    /// The names of the containers that a test finds.
    fn named(&self, test: impl Fn(&Part<'a>) -> bool) -> Vec<&'a str> {
        self.parts.iter().filter(|part| test(part)).map(|part| part.name).collect()
    }

    /// Whether a field of the pod or of its containers has a bad value; who set it, and the values.
    fn setters(
        &self,
        pod: Option<String>,
        container: impl Fn(&SecurityContext) -> Option<String>,
    ) -> Option<(String, BTreeSet<String>)> {
        let mut values = BTreeSet::new();
        let mut setters = Vec::new();
        if let Some(value) = pod {
            setters.push("pod".to_owned());
            values.insert(value);
        }
        let mut names = Vec::new();
        for part in &self.parts {
            if let Some(value) = part.security.and_then(&container) {
                names.push(part.name);
                values.insert(value);
            }
        }
        if !names.is_empty() {
            setters.push(containers(&names));
        }
        (!setters.is_empty()).then(|| (setters.join(" and "), values))
    }
}

fn violation(reason: impl Into<String>, detail: impl Into<String>) -> Option<Violation> {
    Some(Violation { reason: reason.into(), detail: detail.into() })
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `"a", "b"`
fn quoted<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| go::quote(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// `containers "a", "b"`
fn containers(names: &[&str]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(names))
}

fn app_armor(view: &View<'_>) -> Option<Violation> {
    const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
    let bad = |kind: &str| (!matches!(kind, "RuntimeDefault" | "Localhost")).then(|| kind.to_owned());
    let pod = view.security.and_then(|security| bad(&security.app_armor_profile.as_ref()?.type_));
    let found = view.setters(pod, |security| bad(&security.app_armor_profile.as_ref()?.type_));
    let annotated: Vec<String> = view
        .metadata
        .annotations
        .iter()
        .flatten()
        .filter(|(name, value)| {
            let allowed = value.is_empty() || *value == "runtime/default" || value.starts_with("localhost/");
            name.starts_with(ANNOTATION) && !allowed
        })
        .map(|(name, value)| format!("{name}={}", go::quote(value)))
        .collect();
    let mut details = Vec::new();
    let mut count = annotated.len();
    if let Some((setters, values)) = found {
        count += values.len();
        details.push(format!("{setters} must not set AppArmor profile type to {}", quoted(values)));
    }
    if !annotated.is_empty() {
        let word = plural(annotated.len(), "annotation", "annotations");
        details.push(format!("{word} must not set AppArmor profile to {}", annotated.join(", ")));
    }
    if details.is_empty() {
        return None;
    }
    violation(plural(count, "forbidden AppArmor profile", "forbidden AppArmor profiles"), details.join(" and "))
}

fn added(part: &Part<'_>, allowed: &[&str]) -> Vec<String> {
    let capabilities = part.security.and_then(|security| security.capabilities.as_ref());
    let added = capabilities.iter().flat_map(|capabilities: &&Capabilities| capabilities.add.iter().flatten());
    added.filter(|name| !allowed.contains(&name.as_str())).cloned().collect()
}

/// Who adds capabilities beyond those allowed.
fn adders(view: &View<'_>, allowed: &[&str]) -> Option<String> {
    let names = view.named(|part| !added(part, allowed).is_empty());
    let all: BTreeSet<String> = view.parts.iter().flat_map(|part| added(part, allowed)).collect();
    (!names.is_empty())
        .then(|| format!("{} must not include {} in securityContext.capabilities.add", containers(&names), quoted(all)))
}

fn capabilities(view: &View<'_>) -> Option<Violation> {
    const ALLOWED: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    violation("non-default capabilities", adders(view, &ALLOWED)?)
}

fn host_namespaces(view: &View<'_>) -> Option<Violation> {
    let spec = view.spec;
    let namespaces = [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)];
    let used = namespaces.into_iter().filter(|(_, used)| *used == Some(true)).map(|(name, _)| format!("{name}=true"));
    let used: Vec<_> = used.collect();
    if used.is_empty() { None } else { violation("host namespaces", used.join(", ")) }
}

fn host_path(view: &View<'_>) -> Option<Violation> {
    let bad = view.spec.volumes.iter().flatten().filter(|volume| volume.host_path.is_some());
    let names: Vec<_> = bad.map(|volume| volume.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    violation("hostPath volumes", format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(names)))
}

fn host_ports(view: &View<'_>) -> Option<Violation> {
    let used = |part: &Part<'_>| {
        part.ports.iter().filter_map(|port| port.host_port).filter(|port| *port != 0).collect::<Vec<_>>()
    };
    let names = view.named(|part| !used(part).is_empty());
    let ports: BTreeSet<String> = view.parts.iter().flat_map(used).map(|port| port.to_string()).collect();
    if names.is_empty() {
        return None;
    }
    let (uses, word) = (plural(names.len(), "uses", "use"), plural(ports.len(), "hostPort", "hostPorts"));
    let ports = ports.into_iter().collect::<Vec<_>>().join(", ");
    violation("hostPort", format!("{} {uses} {word} {ports}", containers(&names)))
}

fn probe_hosts(view: &View<'_>) -> Option<Violation> {
    let hosts = |part: &Part<'_>| {
        let probes = part.probes.iter().flatten().flat_map(|probe| {
            [
                probe.http_get.as_ref().and_then(|get| get.host.clone()),
                probe.tcp_socket.as_ref().and_then(|tcp| tcp.host.clone()),
            ]
        });
        let handlers = part.handlers.iter().flatten().flat_map(|handler| {
            [
                handler.http_get.as_ref().and_then(|get| get.host.clone()),
                handler.tcp_socket.as_ref().and_then(|tcp| tcp.host.clone()),
            ]
        });
        let set = probes.chain(handlers).flatten();
        set.filter(|host| !matches!(host.as_str(), "" | "127.0.0.1" | "::1")).collect::<Vec<_>>()
    };
    let names = view.named(|part| !hosts(part).is_empty());
    let all: BTreeSet<String> = view.parts.iter().flat_map(hosts).collect();
    if names.is_empty() {
        return None;
    }
    let uses = plural(names.len(), "uses", "use");
    let word = plural(all.len(), "probe or lifecycle host", "probe or lifecycle hosts");
    violation(word, format!("{} {uses} {word} {}", containers(&names), quoted(&all)))
}

fn privileged(view: &View<'_>) -> Option<Violation> {
    let names = view.named(|part| part.security.is_some_and(|security| security.privileged == Some(true)));
    if names.is_empty() {
        return None;
    }
    violation("privileged", format!("{} must not set securityContext.privileged=true", containers(&names)))
}

fn proc_mount(view: &View<'_>) -> Option<Violation> {
    if view.has_own_users {
        return None;
    }
    let (setters, values) = view.setters(None, |security| {
        security.proc_mount.clone().filter(|value| !matches!(value.as_str(), "" | "Default"))
    })?;
    violation("procMount", format!("{setters} must not set securityContext.procMount to {}", quoted(values)))
}

fn se_linux(view: &View<'_>) -> Option<Violation> {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let wrong = |options: &SELinuxOptions| {
        let type_ = options.type_.as_deref().filter(|type_| !TYPES.contains(type_)).map(str::to_owned);
        let user = options.user.as_deref().is_some_and(|user| !user.is_empty());
        let role = options.role.as_deref().is_some_and(|role| !role.is_empty());
        (type_, user, role)
    };
    let pod = view.security.and_then(|security| security.se_linux_options.as_ref());
    let all = view.parts.iter().filter_map(|part| part.security?.se_linux_options.as_ref());
    let found: Vec<_> = pod.into_iter().chain(all).map(wrong).collect();
    let is_bad = |options: &SELinuxOptions| wrong(options) != (None, false, false);
    let bad =
        |options: &Option<SELinuxOptions>| options.as_ref().filter(|options| is_bad(options)).map(|_| String::new());
    let (setters, _) = view
        .setters(view.security.and_then(|security| bad(&security.se_linux_options)), |security| {
            bad(&security.se_linux_options)
        })?;
    let types: BTreeSet<String> = found.iter().filter_map(|(type_, ..)| type_.clone()).collect();
    let mut wrongs = Vec::new();
    if !types.is_empty() {
        wrongs.push(format!("{} {}", plural(types.len(), "type", "types"), quoted(types)));
    }
    if found.iter().any(|(_, user, _)| *user) {
        wrongs.push("user may not be set".into());
    }
    if found.iter().any(|(.., role)| *role) {
        wrongs.push("role may not be set".into());
    }
    violation(
        "seLinuxOptions",
        format!("{setters} set forbidden securityContext.seLinuxOptions: {}", wrongs.join("; ")),
    )
}

fn bad_seccomp(view: &View<'_>, allowed: &[&str]) -> Option<Violation> {
    let bad = |kind: &str| (!allowed.contains(&kind)).then(|| kind.to_owned());
    let pod = view.security.and_then(|security| bad(&security.seccomp_profile.as_ref()?.type_));
    let (setters, values) = view.setters(pod, |security| bad(&security.seccomp_profile.as_ref()?.type_))?;
    let detail = format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted(values));
    violation("seccompProfile", detail)
}

fn seccomp(view: &View<'_>) -> Option<Violation> {
    bad_seccomp(view, &["", "RuntimeDefault", "Localhost"])
}

fn sysctls(view: &View<'_>) -> Option<Violation> {
    const SAFE: [&str; 12] = [
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    ];
    let set = view.security.iter().flat_map(|security| security.sysctls.iter().flatten());
    let bad: Vec<&str> = set.map(|sysctl| sysctl.name.as_str()).filter(|name| !SAFE.contains(name)).collect();
    if bad.is_empty() { None } else { violation("forbidden sysctls", bad.join(", ")) }
}

fn host_process(view: &View<'_>) -> Option<Violation> {
    let pod = view.security.and_then(|security| security.windows_options.as_ref()?.host_process);
    let bad = |set: Option<bool>| set.filter(|set| *set).map(|_| String::new());
    let (setters, _) = view.setters(bad(pod), |security| bad(security.windows_options.as_ref()?.host_process))?;
    violation("hostProcess", format!("{setters} must not set securityContext.windowsOptions.hostProcess=true"))
}

fn escalation(view: &View<'_>) -> Option<Violation> {
    let names =
        view.named(|part| part.security.and_then(|security| security.allow_privilege_escalation) != Some(false));
    if names.is_empty() || view.is_windows {
        return None;
    }
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&names));
    violation("allowPrivilegeEscalation != false", detail)
}

fn all_capabilities(view: &View<'_>) -> Option<Violation> {
    if view.is_windows {
        return None;
    }
    let keeps = view.named(|part| {
        let capabilities = part.security.and_then(|security| security.capabilities.as_ref());
        !capabilities.iter().flat_map(|all| all.drop.iter().flatten()).any(|name| name == "ALL")
    });
    let mut details = Vec::new();
    if !keeps.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeps)));
    }
    details.extend(adders(view, &["NET_BIND_SERVICE"]));
    if details.is_empty() { None } else { violation("unrestricted capabilities", details.join("; ")) }
}

/// The kind of a volume that the restricted standard does not allow.
fn restricted_type(volume: &Volume) -> Option<&'static str> {
    let kinds = [
        ("hostPath", volume.host_path.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("fc", volume.fc.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("storageos", volume.storageos.is_some()),
    ];
    kinds.into_iter().find(|(_, used)| *used).map(|(name, _)| name)
}

fn volumes(view: &View<'_>) -> Option<Violation> {
    let bad =
        view.spec.volumes.iter().flatten().filter_map(|volume| Some((volume.name.as_str(), restricted_type(volume)?)));
    let (names, kinds): (Vec<&str>, BTreeSet<&str>) = bad.unzip();
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} {} {} {} {}",
        plural(names.len(), "volume", "volumes"),
        quoted(&names),
        plural(names.len(), "uses", "use"),
        plural(kinds.len(), "restricted volume type", "restricted volume types"),
        quoted(kinds)
    );
    violation("restricted volume types", detail)
}

fn non_root(view: &View<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if view.has_own_users {
        return None;
    }
    let pod = view.security.and_then(|security| security.run_as_non_root);
    let bad = |set: Option<bool>| set.filter(|set| !set).map(|_| String::new());
    if let Some((setters, _)) = view.setters(bad(pod), |security| bad(security.run_as_non_root)) {
        return violation(REASON, format!("{setters} must not set securityContext.runAsNonRoot=false"));
    }
    let silent = view.named(|part| part.security.and_then(|security| security.run_as_non_root).is_none());
    if pod == Some(true) || silent.is_empty() {
        return None;
    }
    violation(REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent)))
}

fn not_user_zero(view: &View<'_>) -> Option<Violation> {
    if view.has_own_users {
        return None;
    }
    let bad = |user: Option<i64>| user.filter(|user| *user == 0).map(|_| String::new());
    let pod = view.security.and_then(|security| security.run_as_user);
    let (setters, _) = view.setters(bad(pod), |security| bad(security.run_as_user))?;
    violation("runAsUser=0", format!("{setters} must not set runAsUser=0"))
}

fn seccomp_set(view: &View<'_>) -> Option<Violation> {
    if view.is_windows {
        return None;
    }
    if let Some(bad) = bad_seccomp(view, &["RuntimeDefault", "Localhost"]) {
        return Some(bad);
    }
    let silent = view.named(|part| part.security.and_then(|security| security.seccomp_profile.as_ref()).is_none());
    if silent.is_empty() || view.security.is_some_and(|security| security.seccomp_profile.is_some()) {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        containers(&silent)
    );
    violation("seccompProfile", detail)
}
