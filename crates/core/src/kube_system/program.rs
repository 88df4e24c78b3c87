//! The control plane's containers. Each runs a small program that starts its part of the core, stops it when it ends,
//! answers on the part's ports and logs what the part logs when it starts and ends.

use std::rc::{Rc, Weak};

use machinery::random::Rng;
use machinery::wire::{Body, Request as ApiRequest};
use sim::network::TcpStream;
use sim::network::http::{self, Request, Response};
use sim::process::{Process, Program, Signal};

use crate::cluster::Inner;
use crate::own_scheduler::{OwnScheduler, Plan};

/// A part of the control plane, or kube-proxy.
pub(super) struct Part {
    /// Its program, container and static pod.
    pub(super) name: &'static str,
    /// Its image, where it is not named as the program, in Kubernetes' version.
    image: Option<&'static str>,
    /// Its image's compressed size, in MB.
    pub(super) size_mb: u64,
    /// Memory that it holds, in MiB.
    pub(super) memory_mib: u64,
    /// What it uses at rest, in billionths of a CPU.
    pub(super) cpu_nano_cores: u64,
    /// Where it tells of its health; 0 for nowhere.
    pub(super) port: u16,
    pub(super) health: &'static str,
    /// Whether it speaks TLS there.
    pub(super) secure: bool,
    /// What it says when it starts: the source, and the text.
    lines: &'static [(&'static str, &'static str)],
    /// How kubeadm runs it on the control plane's nodes, where it does.
    pub(super) static_pod: Option<StaticPod>,
}

/// A static pod of kubeadm's.
pub(super) struct StaticPod {
    /// Flags, one a line; `{address}`, `{node}` and `{port}` are the node's and the API server's.
    pub(super) flags: &'static str,
    /// Folders of the node: volume, path, type.
    pub(super) folders: &'static [(&'static str, &'static str, &'static str)],
    /// What its container requests.
    pub(super) requests: &'static [(&'static str, &'static str)],
    pub(super) annotation: Option<(&'static str, &'static str)>,
}

const PKI: (&str, &str, &str) = ("k8s-certs", "/etc/kubernetes/pki", "DirectoryOrCreate");
const CA_CERTS: (&str, &str, &str) = ("ca-certs", "/etc/ssl/certs", "DirectoryOrCreate");

/// The parts, in the order of their manifests.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: "etcd",
        image: Some("registry.k8s.io/etcd:3.6.6-0"),
        size_mb: 24,
        memory_mib: 42,
        cpu_nano_cores: 18_000_000,
        port: 2381,
        health: "/health?exclude=NOSPACE&serializable=true",
        secure: false,
        lines: &[
            ("etcdmain/etcd.go:64", "Running: "),
            ("embed/etcd.go:124", "configuring peer listeners"),
            ("embed/etcd.go:132", "configuring client listeners"),
            ("etcdserver/server.go:1938", "published local member to cluster through raft"),
            ("embed/serve.go:124", "ready to serve client requests"),
            ("embed/serve.go:275", "serving client traffic securely"),
        ],
        static_pod: Some(StaticPod {
            flags: "--advertise-client-urls=https://{address}:2379
                --cert-file=/etc/kubernetes/pki/etcd/server.crt
                --client-cert-auth=true
                --data-dir=/var/lib/etcd
                --initial-advertise-peer-urls=https://{address}:2380
                --initial-cluster={node}=https://{address}:2380
                --key-file=/etc/kubernetes/pki/etcd/server.key
                --listen-client-urls=https://127.0.0.1:2379,https://{address}:2379
                --listen-metrics-urls=http://127.0.0.1:2381
                --listen-peer-urls=https://{address}:2380
                --name={node}
                --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt
                --peer-client-cert-auth=true
                --peer-key-file=/etc/kubernetes/pki/etcd/peer.key
                --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
                --snapshot-count=10000
                --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
            folders: &[
                ("etcd-data", "/var/lib/etcd", "DirectoryOrCreate"),
                ("etcd-certs", "/etc/kubernetes/pki/etcd", "DirectoryOrCreate"),
            ],
            requests: &[("cpu", "100m"), ("memory", "100Mi")],
            annotation: Some(("kubeadm.kubernetes.io/etcd.advertise-client-urls", "https://{address}:2379")),
        }),
    },
    Part {
        name: "kube-apiserver",
        image: None,
        size_mb: 27,
        memory_mib: 210,
        cpu_nano_cores: 35_000_000,
        port: 6443,
        health: "/livez",
        secure: true,
        lines: &[
            ("options.go:263", "external host was not specified, using {address}"),
            ("server.go:150", "Version: {version}"),
            ("instance.go:239", "Using reconciler: lease"),
            ("handler.go:288", "Adding GroupVersion v1 to ResourceManager"),
            ("handler.go:288", "Adding GroupVersion apps v1 to ResourceManager"),
            ("secure_serving.go:211", "Serving securely on [::]:{port}"),
            ("cache.go:39", "Caches are synced for APIServiceRegistrationController controller"),
        ],
        static_pod: Some(StaticPod {
            flags: "--advertise-address={address}
                --allow-privileged=true
                --authorization-mode=Node,RBAC
                --client-ca-file=/etc/kubernetes/pki/ca.crt
                --enable-admission-plugins=NodeRestriction
                --enable-bootstrap-token-auth=true
                --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
                --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt
                --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key
                --etcd-servers=https://127.0.0.1:2379
                --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname
                --secure-port={port}
                --service-account-issuer=https://kubernetes.default.svc.cluster.local
                --service-account-key-file=/etc/kubernetes/pki/sa.pub
                --service-account-signing-key-file=/etc/kubernetes/pki/sa.key
                --service-cluster-ip-range={services}
                --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
                --tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
            folders: &[CA_CERTS, PKI],
            requests: &[("cpu", "250m")],
            annotation: Some(("kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint", "{address}:{port}")),
        }),
    },
    Part {
        name: "kube-controller-manager",
        image: None,
        size_mb: 23,
        memory_mib: 48,
        cpu_nano_cores: 12_000_000,
        port: 10257,
        health: "/healthz",
        secure: true,
        lines: &[
            ("serving.go:386", "Generated self-signed cert in-memory"),
            ("controllermanager.go:188", "\"Starting\" version=\"{version}\""),
            ("secure_serving.go:211", "Serving securely on 127.0.0.1:10257"),
            ("leaderelection.go:257", "attempting to acquire leader lease kube-system/kube-controller-manager..."),
            ("shared_informer.go:349", "\"Waiting for caches to sync\" controller=\"tokens\""),
            ("shared_informer.go:356", "\"Caches are synced\" controller=\"tokens\""),
        ],
        static_pod: Some(StaticPod {
            flags: "--allocate-node-cidrs=true
                --authentication-kubeconfig=/etc/kubernetes/controller-manager.conf
                --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf
                --bind-address=127.0.0.1
                --client-ca-file=/etc/kubernetes/pki/ca.crt
                --cluster-cidr=10.244.0.0/16
                --cluster-name=kubernetes
                --cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt
                --cluster-signing-key-file=/etc/kubernetes/pki/ca.key
                --controllers=*,bootstrapsigner,tokencleaner
                --kubeconfig=/etc/kubernetes/controller-manager.conf
                --leader-elect=true
                --root-ca-file=/etc/kubernetes/pki/ca.crt
                --service-account-private-key-file=/etc/kubernetes/pki/sa.key
                --service-cluster-ip-range={services}
                --use-service-account-credentials=true",
            folders: &[CA_CERTS, PKI, ("kubeconfig", "/etc/kubernetes/controller-manager.conf", "FileOrCreate")],
            requests: &[("cpu", "200m")],
            annotation: None,
        }),
    },
    Part {
        name: "kube-scheduler",
        image: None,
        size_mb: 17,
        memory_mib: 21,
        cpu_nano_cores: 4_000_000,
        port: 10259,
        health: "/livez",
        secure: true,
        lines: &[
            ("serving.go:386", "Generated self-signed cert in-memory"),
            ("server.go:175", "\"Starting Kubernetes Scheduler\" version=\"{version}\""),
            ("secure_serving.go:211", "Serving securely on 127.0.0.1:10259"),
            ("leaderelection.go:257", "attempting to acquire leader lease kube-system/kube-scheduler..."),
        ],
        static_pod: Some(StaticPod {
            flags: "--authentication-kubeconfig=/etc/kubernetes/scheduler.conf
                --authorization-kubeconfig=/etc/kubernetes/scheduler.conf
                --bind-address=127.0.0.1
                --kubeconfig=/etc/kubernetes/scheduler.conf
                --leader-elect=true",
            folders: &[("kubeconfig", "/etc/kubernetes/scheduler.conf", "FileOrCreate")],
            requests: &[("cpu", "100m")],
            annotation: None,
        }),
    },
    Part {
        name: "kube-proxy",
        image: None,
        size_mb: 26,
        memory_mib: 17,
        cpu_nano_cores: 1_000_000,
        port: 10256,
        health: "/healthz",
        secure: false,
        lines: &[
            ("server_linux.go:63", "\"Using iptables proxy\""),
            ("server.go:715", "\"Successfully retrieved node IP(s)\" IPs=[\"{address}\"]"),
            ("server_linux.go:132", "\"Using iptables Proxier\""),
            ("server.go:527", "\"Version info\" version=\"{version}\""),
            ("config.go:200", "\"Starting service config controller\""),
            ("config.go:105", "\"Starting endpoint slice config controller\""),
            ("shared_informer.go:356", "\"Caches are synced\" controller=\"service config\""),
            ("shared_informer.go:356", "\"Caches are synced\" controller=\"endpoint slice config\""),
        ],
        static_pod: None,
    },
    Part {
        name: "kindnetd",
        image: Some("docker.io/kindest/kindnetd:v20260131-ae8b4e8a"),
        size_mb: 39,
        memory_mib: 14,
        cpu_nano_cores: 1_000_000,
        port: 0,
        health: "",
        secure: false,
        lines: &[
            ("main.go:109", "connected to apiserver: https://{endpoint}"),
            ("main.go:139", "hostIP = {address}"),
            ("main.go:140", "podIP = {address}"),
            ("main.go:148", "setting mtu 1500 for CNI "),
            ("main.go:178", "kindnetd IP family: \"ipv4\""),
            ("main.go:182", "noMask IPv4 subnets: [{pods}]"),
            ("controller.go:377", "\"Starting controller\" name=\"kube-network-policies\""),
            ("shared_informer.go:349", "\"Waiting for caches to sync\" controller=\"kube-network-policies\""),
            ("shared_informer.go:356", "\"Caches are synced\" controller=\"kube-network-policies\""),
        ],
        static_pod: None,
    },
    Part {
        name: PROVISIONER,
        image: Some("docker.io/kindest/local-path-provisioner:v20260131-7181c60a"),
        size_mb: 20,
        memory_mib: 9,
        cpu_nano_cores: 1_000_000,
        port: 0,
        health: "",
        secure: false,
        lines: &[
            ("", "level=debug msg=\"Starting the provisioner with {paths}\""),
            ("", "level=debug msg=\"Provisioner started\""),
        ],
        static_pod: None,
    },
];

/// Where kube-proxy tells those on its node of itself.
const METRICS: u16 = 10249;
const PLAIN: &str = "text/plain; charset=utf-8";

/// What makes the volumes of kind's storage class.
const PROVISIONER: &str = "local-path-provisioner";
/// Folders of the nodes' in which it makes them.
const PATHS: &str = "/etc/config/config.json";

impl Part {
    /// Its image.
    pub(super) fn image(&self) -> String {
        let own = || format!("registry.k8s.io/{}:{}", self.name, kubelet::VERSION);
        self.image.map_or_else(own, str::to_owned)
    }

    /// Whether it is kind's, not kubeadm's.
    pub(super) fn is_kinds(&self) -> bool {
        matches!(self.name, "kindnetd" | PROVISIONER)
    }

    /// What its installation has left in the API, whatever became of its pods since.
    pub(super) fn mark(&self) -> &'static str {
        match self.name {
            "kindnetd" => "/apis/rbac.authorization.k8s.io/v1/clusterroles/kindnet",
            "kube-proxy" => "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:node-proxier",
            PROVISIONER => "/apis/rbac.authorization.k8s.io/v1/clusterroles/local-path-provisioner-role",
            _ => super::INSTALLED,
        }
    }

    /// The components of the core that it is.
    pub(super) fn components(&self) -> Vec<&'static str> {
        match self.name {
            "kube-controller-manager" => {
                let own = controllers::CONTROLLERS.iter().map(|(name, _)| *name).filter(|name| *name != PROVISIONER);
                own.chain([self.name]).collect()
            }
            "kindnetd" => vec![proxy::PolicyAgent::NAME],
            "kube-scheduler" | "kube-proxy" | PROVISIONER => vec![self.name],
            // The store and the API server are the core itself.
            _ => Vec::new(),
        }
    }
}

/// A container that runs a part: while there is one, the part runs.
struct Held {
    inner: Weak<Inner>,
    part: &'static Part,
}

impl Held {
    fn new(inner: &Weak<Inner>, part: &'static Part) -> Self {
        if let Some(inner) = inner.upgrade() {
            inner.hold(part.name, &part.components());
        }
        Self { inner: inner.clone(), part }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.release(self.part.name, &self.part.components());
        }
    }
}

/// A flag's value: `--name=value` or `--name value`.
fn flag<'a>(process: &'a Process, name: &str) -> Option<&'a str> {
    let mut words = process.operands().iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(name).map(|rest| (rest, rest.strip_prefix('='))) {
            Some(("", _)) => return words.next().map(String::as_str),
            Some((_, Some(value))) => return Some(value),
            _ => {}
        }
    }
    None
}

/// The scheduler that a container runs beside the cluster's own: one that was given a configuration.
fn own_scheduler(process: &Process, inner: &Weak<Inner>, part: &Part) -> Result<Option<OwnScheduler>, String> {
    let file = flag(process, "--config");
    let (Some(file), Some(inner), "kube-scheduler") = (file, inner.upgrade(), part.name) else { return Ok(None) };
    let text = process.fs().read_text(&process.path(file));
    let text = text.map_err(|error| format!("open {file}: {}", error.to_string().to_lowercase()))?;
    let plan = Plan::read(&text)?;
    let identity = format!("{}_{:016x}", process.machine.hostname(), process.machine.random());
    Ok(Some(OwnScheduler::start(&inner, &plan, &identity, Rng::new(process.machine.random()))))
}

/// The program of a part's containers.
pub(super) fn program(inner: Weak<Inner>, part: &'static Part) -> Rc<dyn Program> {
    Rc::new(move |process: Process| {
        let inner = inner.clone();
        async move { run(process, inner, part).await }
    })
}

async fn run(process: Process, inner: Weak<Inner>, part: &'static Part) -> i32 {
    process.signals.handle(Signal::Term);
    process.signals.handle(Signal::Int);
    let port: u16 = flag(&process, "--secure-port").and_then(|port| port.parse().ok()).unwrap_or(part.port);
    let listener = match (port != 0).then(|| process.machine.interface().listen(port)) {
        None => None,
        Some(Ok((_, listener))) if part.secure => Some(listener.with_tls(Rc::new(|_| None))),
        Some(Ok((_, listener))) => Some(listener),
        Some(Err(_)) => {
            let text = format!("failed to create listener: listen tcp :{port}: bind: address already in use");
            say(&process, part, 'E', "run.go:72", &format!("\"command failed\" err=\"{text}\"")).await;
            return 1;
        }
    };
    let address = process.machine.interface().address().to_string();
    for (source, text) in part.lines {
        let text = text.replace("{version}", kubelet::VERSION).replace("{address}", &address);
        let text = text.replace("{endpoint}", process.var("CONTROL_PLANE_ENDPOINT"));
        let text = text.replace("{pods}", process.var("POD_SUBNET")).replace("{paths}", PATHS);
        say(&process, part, 'I', source, &text.replace("{port}", &port.to_string())).await;
    }
    let own = match own_scheduler(&process, &inner, part) {
        Ok(own) => own,
        Err(why) => {
            say(&process, part, 'E', "run.go:72", &format!("\"command failed\" err={why:?}")).await;
            return 1;
        }
    };
    let held = own.is_none().then(|| Held::new(&inner, part));
    let node = process.machine.hostname();
    let serve = async {
        match &listener {
            Some(listener) => {
                let asked = |request, stream: TcpStream| {
                    let port = stream.info().dialled.port();
                    answer(inner.clone(), part, own.is_some(), node.to_owned(), port, request)
                };
                http::serve(listener, asked).await
            }
            None => futures::future::pending().await,
        }
    };
    let metrics = (part.name == "kube-proxy").then(|| process.machine.interface().listen(METRICS));
    let metrics = metrics.and_then(Result::ok).map(|(_, listener)| listener.on_loopback());
    let tell = async {
        match &metrics {
            Some(listener) => http::serve(listener, |request, _| async move { proxy_metrics(&request) }).await,
            None => futures::future::pending().await,
        }
    };
    let ended = process.signals.next();
    let work = futures::future::select(Box::pin(serve), Box::pin(tell));
    futures::future::select(work, Box::pin(ended)).await;
    drop((own, held));
    if part.static_pod.is_some() {
        say(&process, part, 'I', "secure_serving.go:259", "Stopped listening").await;
    }
    0
}

/// A line of the log: klog's form, or etcd's JSON.
async fn say(process: &Process, part: &Part, level: char, source: &str, text: &str) {
    let now = process.machine.now();
    let line = match part.name {
        "etcd" => format!(
            "{{\"level\":\"{}\",\"ts\":\"{}\",\"caller\":\"{source}\",\"msg\":{}}}\n",
            if level == 'E' { "fatal" } else { "info" },
            now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"),
            serde_json::Value::from(text),
        ),
        PROVISIONER => format!("time=\"{}\" {text}\n", now.strftime("%Y-%m-%dT%H:%M:%SZ")),
        _ => format!("{level}{} {:>7} {source}] {text}\n", now.strftime("%m%d %H:%M:%S.%6f"), process.pid),
    };
    // A log that nobody keeps is not written.
    process.eprint(line).await;
}

/// What a part answers on a node at a port: whether it is well, and the API server its API.
async fn answer(
    inner: Weak<Inner>,
    part: &'static Part,
    own: bool,
    node: String,
    port: u16,
    request: Request,
) -> Response {
    let Some(inner) = inner.upgrade() else { return Response::new(503, PLAIN, "") };
    match (part.name, request.path()) {
        ("kube-apiserver", _) => api(&inner, request).await,
        ("kube-proxy", _) if port != part.port => service_health(&inner, &node, port, inner.runs(&part.components())),
        ("etcd", "/health") => Response::new(200, "application/json", "{\"health\":\"true\",\"reason\":\"\"}"),
        (_, "/healthz" | "/livez" | "/readyz") => match own || inner.runs(&part.components()) {
            true => Response::new(200, PLAIN, "ok"),
            false => Response::new(500, PLAIN, "[-]ping failed: reason withheld\nhealthz check failed\n"),
        },
        _ => Response::new(404, PLAIN, "404 page not found\n"),
    }
}

/// What kube-proxy says at its metrics' port, as far as people ask: in which mode it is, and whether it is well.
fn proxy_metrics(request: &Request) -> Response {
    match request.path() {
        "/proxyMode" => Response::text("iptables"),
        "/healthz" => Response::text("ok"),
        _ => Response::new(404, PLAIN, "404 page not found\n"),
    }
}

/// What kube-proxy says at a Service's `healthCheckNodePort`, after upstream's pkg/proxy/healthcheck: 200 where the node
/// has endpoints, else 503, so that load balancers pass the node by.
fn service_health(inner: &Inner, node: &str, port: u16, healthy: bool) -> Response {
    let tables = inner.world.tables();
    let tables = tables.borrow();
    let Some(service) = tables.health_check(port) else { return Response::new(404, PLAIN, "") };
    let count = tables.local_endpoints(service, node);
    let text = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": {:?},\n\t\t\"name\": {:?}\n\t}},\n\t\"localEndpoints\": {count},\n\t\
         \"serviceProxyHealthy\": {healthy}\n}}",
        service.namespace, service.name,
    );
    let status = if count > 0 && healthy { 200 } else { 503 };
    Response::new(status, "application/json", text)
        .with("X-Content-Type-Options", "nosniff")
        .with("X-Load-Balancing-Endpoint-Weight", count.to_string())
}

/// Passes a request to the API server. Who has no token is nobody here, whoever sits at the computer.
async fn api(inner: &Inner, request: Request) -> Response {
    let mut call = ApiRequest::new(Body::Bytes(request.body.clone()));
    let (Ok(method), Ok(uri)) = (request.method.parse(), request.target.parse()) else {
        return Response::new(400, "text/plain; charset=utf-8", "400 Bad Request");
    };
    *call.method_mut() = method;
    *call.uri_mut() = uri;
    let mut identified = false;
    for (name, value) in &request.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<::http::HeaderName>(), value.parse::<::http::HeaderValue>()) {
            identified |= name == ::http::header::AUTHORIZATION;
            call.headers_mut().append(name, value);
        }
    }
    if !identified && !inner.anonymous {
        let nobody = [("impersonate-user", "system:anonymous"), ("impersonate-group", "system:unauthenticated")];
        for (name, value) in nobody {
            call.headers_mut().insert(name, ::http::HeaderValue::from_static(value));
        }
    }
    // Probes are not worth telling.
    let probe = matches!(request.path(), "/livez" | "/readyz" | "/healthz");
    let answer = match probe && !inner.public_api().is_down() {
        true => inner.api.handle(call).await,
        false => inner.public_api().handle(call).await,
    };
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(parts.status.as_u16(), "application/json", bytes::Bytes::new());
    if let Some(kind) = parts.headers.get(::http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) {
        response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        response.headers.push(("Content-Type".into(), kind.to_owned()));
    }
    // Streams do not pass: a client here reads an answer when it is whole.
    if matches!(body, Body::Watch(_) | Body::Upgrade(_)) {
        let refusal =
            machinery::status::ApiError::new(501, "NotImplemented", "watches do not pass through this network");
        response.status = 501;
        response.body = refusal.into_response().into_body().collect().await;
        return response;
    }
    response.body = body.collect().await;
    response
}
