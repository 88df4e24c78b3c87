//! The images that are built in: one row each.

use machinery::Timestamp;

use super::base::Base;
use crate::fs::{Entry, Tree};
use crate::process::Signal;
use crate::programs::servers::pages;

/// A built-in image.
pub(super) struct Row {
    /// Full repository names.
    pub(super) names: &'static [&'static str],
    /// Which tags exist.
    pub(super) tags: Tags,
    /// What it is built from.
    pub(super) base: Base,
    /// Executables besides the base's: path and program.
    pub(super) programs: &'static [(&'static str, &'static str)],
    /// What always runs.
    pub(super) entrypoint: &'static [&'static str],
    /// Default arguments.
    pub(super) cmd: &'static [&'static str],
    /// Environment; `{version}` is the version its tag means.
    pub(super) env: &'static [(&'static str, &'static str)],
    /// Ports.
    pub(super) ports: &'static [u16],
    /// Files of its own.
    pub(super) files: fn(&mut Tree, Timestamp),
    /// Working directory.
    pub(super) working_dir: &'static str,
    /// User.
    pub(super) user: &'static str,
    /// Compressed size, in MB.
    pub(super) size_mb: u64,
    /// Memory, in MiB.
    pub(super) memory_mib: u64,
    /// What asks it to end.
    pub(super) stop_signal: Signal,
}

/// Which tags of an image exist, and the version each means.
pub(super) enum Tags {
    /// Whatever is asked for.
    Any,
    /// These.
    Only(&'static [&'static str]),
    /// Versions up to the given newest minor of a major version, `latest`, and words such as `alpine`,
    /// alone or after a version: (major, newest minor, newest patch, the version `latest` means).
    Versions(&'static [(u32, u32, u32)], &'static str),
}

/// Words that stand for the newest version or name a flavour of it.
const FLAVOURS: [&str; 19] = [
    "latest",
    "alpine",
    "stable",
    "mainline",
    "slim",
    "perl",
    "bookworm",
    "trixie",
    "bullseye",
    "glibc",
    "musl",
    "uclibc",
    "otel",
    "unstable",
    "edge",
    "unprivileged",
    "alpine3",
    "debian",
    "fpm",
];

impl Tags {
    /// The version a tag means, if the tag exists.
    pub(super) fn version(&self, tag: &str) -> Option<String> {
        match self {
            Self::Any => Some(tag.to_owned()),
            Self::Only(tags) => tags.contains(&tag).then(|| tag.trim_start_matches('v').to_owned()),
            Self::Versions(known, newest) => {
                let mut version = None;
                for (index, part) in tag.split('-').enumerate() {
                    // Such as `alpine` and `alpine3.20`.
                    let numbered = |rest: &str| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit());
                    let flavour = FLAVOURS.iter().any(|word| part.strip_prefix(word).is_some_and(numbered));
                    if index == 0 && !flavour {
                        version = Some(complete_version(part, known)?);
                    } else if !flavour {
                        return None;
                    }
                }
                Some(version.unwrap_or_else(|| (*newest).to_owned()))
            }
        }
    }
}

/// `1.27` to `1.27.5`, if there is such a version.
fn complete_version(text: &str, known: &[(u32, u32, u32)]) -> Option<String> {
    let numbers: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let major = *numbers.first()?;
    let (_, minor_max, patch_max) = known.iter().find(|(known, ..)| *known == major)?;
    let minor = numbers.get(1).copied().unwrap_or(*minor_max);
    let patch = numbers.get(2).copied();
    let exists = minor <= *minor_max && patch.unwrap_or(0) <= *patch_max && numbers.len() <= 3;
    exists.then(|| format!("{major}.{minor}.{}", patch.unwrap_or(if minor == *minor_max { 1 } else { 3 })))
}

const NONE: fn(&mut Tree, Timestamp) = |_, _| {};

const DEFAULT: Row = Row {
    names: &[],
    tags: Tags::Any,
    base: Base::Scratch,
    programs: &[],
    entrypoint: &[],
    cmd: &[],
    env: &[],
    ports: &[],
    files: NONE,
    working_dir: "/",
    user: "",
    size_mb: 10,
    memory_mib: 8,
    stop_signal: Signal::Term,
};

pub(super) const ROWS: &[Row] = &[
    Row {
        names: &["docker.io/library/nginx"],
        tags: Tags::Versions(&[(1, 29, 15)], "1.29.1"),
        base: Base::Debian,
        programs: &[
            ("/usr/sbin/nginx", "nginx"),
            ("/docker-entrypoint.sh", "nginx-entrypoint"),
            ("/usr/bin/curl", "curl"),
        ],
        entrypoint: &["/docker-entrypoint.sh"],
        cmd: &["nginx", "-g", "daemon off;"],
        env: &[("NGINX_VERSION", "{version}")],
        ports: &[80],
        files: nginx_files,
        size_mb: 72,
        memory_mib: 6,
        stop_signal: Signal::Quit,
        ..DEFAULT
    },
    // The documentation's StatefulSets: nginx on Debian, without an entrypoint script.
    Row {
        names: &["registry.k8s.io/nginx-slim", "k8s.gcr.io/nginx-slim", "gcr.io/google_containers/nginx-slim"],
        base: Base::Debian,
        programs: &[("/usr/sbin/nginx", "nginx"), ("/usr/bin/curl", "curl")],
        cmd: &["nginx", "-g", "daemon off;"],
        env: &[("NGINX_VERSION", "1.27.0")],
        ports: &[80],
        files: nginx_files,
        size_mb: 72,
        memory_mib: 6,
        stop_signal: Signal::Quit,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/httpd"],
        tags: Tags::Versions(&[(2, 4, 65)], "2.4.65"),
        base: Base::Debian,
        programs: &[("/usr/local/apache2/bin/httpd", "httpd"), ("/usr/local/bin/httpd-foreground", "httpd")],
        cmd: &["httpd-foreground"],
        env: &[("HTTPD_VERSION", "{version}"), ("HTTPD_PREFIX", "/usr/local/apache2")],
        ports: &[80],
        files: |tree, time| {
            tree.insert("/usr/local/apache2/htdocs/index.html", Entry::file(pages::HTTPD, time));
            tree.insert("/usr/local/apache2/conf/httpd.conf", Entry::file("Listen 80\n", time));
        },
        working_dir: "/usr/local/apache2",
        size_mb: 58,
        memory_mib: 7,
        stop_signal: Signal::Winch,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/busybox", "registry.k8s.io/busybox", "gcr.io/google-containers/busybox"],
        tags: Tags::Versions(&[(1, 37, 9)], "1.37.0"),
        base: Base::Busybox,
        cmd: &["sh"],
        size_mb: 2,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/alpine"],
        tags: Tags::Versions(&[(3, 22, 20), (2, 7, 9)], "3.22.0"),
        base: Base::Alpine,
        cmd: &["/bin/sh"],
        size_mb: 4,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/ubuntu", "docker.io/library/fedora", "docker.io/library/buildpack-deps"],
        tags: Tags::Any,
        base: Base::Debian,
        // They have procps, as Debian's own has not.
        programs: &[
            ("/usr/bin/ps", "ps"),
            ("/usr/bin/top", "top"),
            ("/usr/bin/free", "free"),
            ("/usr/bin/uptime", "uptime"),
            ("/usr/bin/watch", "watch"),
            ("/usr/bin/pgrep", "pgrep"),
            ("/usr/bin/pkill", "pkill"),
            ("/usr/bin/pidof", "pidof"),
        ],
        cmd: &["bash"],
        size_mb: 30,
        memory_mib: 2,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/debian"],
        tags: Tags::Any,
        base: Base::Debian,
        cmd: &["bash"],
        size_mb: 49,
        memory_mib: 2,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/bash"],
        base: Base::Alpine,
        programs: &[("/usr/local/bin/bash", "bash")],
        cmd: &["bash"],
        size_mb: 6,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/perl"],
        base: Base::Debian,
        programs: &[("/usr/local/bin/perl", "perl")],
        cmd: &["perl", "-de0"],
        size_mb: 336,
        memory_mib: 8,
        ..DEFAULT
    },
    Row {
        names: &["registry.k8s.io/echoserver", "k8s.gcr.io/echoserver", "gcr.io/google_containers/echoserver"],
        base: Base::Debian,
        programs: &[("/usr/local/bin/run.sh", "echoserver")],
        cmd: &["/usr/local/bin/run.sh"],
        ports: &[8080],
        size_mb: 46,
        memory_mib: 6,
        ..DEFAULT
    },
    Row {
        names: &["registry.k8s.io/ingress-nginx/controller"],
        base: Base::Alpine,
        programs: &[("/nginx-ingress-controller", "ingress-nginx")],
        entrypoint: &["/nginx-ingress-controller"],
        ports: &[80, 443],
        size_mb: 120,
        memory_mib: 90,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/hellokube"],
        tags: Tags::Only(&["1.0.0", "latest"]),
        base: Base::Alpine,
        programs: &[("/app/hellokube", "hellokube")],
        cmd: &["/app/hellokube"],
        ports: &[8080],
        working_dir: "/app",
        size_mb: 7,
        memory_mib: 4,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/docker/getting-started"],
        tags: Tags::Any,
        base: Base::Alpine,
        programs: &[("/usr/sbin/nginx", "nginx"), ("/docker-entrypoint.sh", "nginx-entrypoint")],
        entrypoint: &["/docker-entrypoint.sh"],
        cmd: &["nginx", "-g", "daemon off;"],
        env: &[("NGINX_VERSION", "1.21.6")],
        ports: &[80],
        files: |tree, time| {
            nginx_files(tree, time);
            tree.insert("/usr/share/nginx/html/index.html", Entry::file(pages::GETTING_STARTED, time));
        },
        size_mb: 19,
        memory_mib: 6,
        stop_signal: Signal::Quit,
        ..DEFAULT
    },
    Row {
        names: &[
            "docker.io/jocatalin/kubernetes-bootcamp",
            "gcr.io/google-samples/kubernetes-bootcamp",
            "gcr.io/k8s-minikube/kubernetes-bootcamp",
        ],
        tags: Tags::Only(&["v1", "v2", "latest"]),
        base: Base::Debian,
        programs: &[("/usr/bin/node", "kubernetes-bootcamp"), ("/usr/bin/curl", "curl"), ("/usr/bin/ps", "ps")],
        cmd: &["/bin/sh", "-c", "node server.js"],
        env: &[("NODE_VERSION", "6.3.1"), ("BOOTCAMP_VERSION", "{version}")],
        ports: &[8080],
        files: |tree, time| {
            tree.insert("/server.js", Entry::file("// See `node server.js`.\n", time));
        },
        size_mb: 80,
        memory_mib: 20,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/in28min/mmv2-currency-exchange-service"],
        tags: Tags::Any,
        base: Base::Debian,
        programs: &[("/cnb/process/web", "currency-exchange")],
        entrypoint: &["/cnb/process/web"],
        env: &[("EXCHANGE_VERSION", "{version}")],
        ports: &[8000],
        working_dir: "/workspace",
        user: "1000",
        size_mb: 115,
        memory_mib: 180,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/redis"],
        tags: Tags::Versions(&[(8, 2, 9), (7, 4, 15), (6, 2, 20), (5, 0, 14)], "8.2.1"),
        base: Base::Debian,
        programs: &[("/usr/local/bin/redis-server", "redis-server"), ("/usr/local/bin/redis-cli", "redis-cli")],
        cmd: &["redis-server"],
        env: &[("REDIS_VERSION", "{version}")],
        ports: &[6379],
        working_dir: "/data",
        size_mb: 45,
        memory_mib: 9,
        ..DEFAULT
    },
    Row {
        names: &["registry.k8s.io/pause", "k8s.gcr.io/pause", "gcr.io/google-containers/pause"],
        programs: &[("/pause", "pause")],
        entrypoint: &["/pause"],
        user: "65535:65535",
        size_mb: 1,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &["registry.k8s.io/coredns/coredns", "docker.io/coredns/coredns"],
        programs: &[("/coredns", "coredns")],
        entrypoint: &["/coredns"],
        ports: &[53],
        user: "nonroot:nonroot",
        size_mb: 23,
        memory_mib: 18,
        ..DEFAULT
    },
    Row {
        names: &["registry.k8s.io/e2e-test-images/agnhost", "k8s.gcr.io/e2e-test-images/agnhost"],
        base: Base::Alpine,
        programs: &[
            ("/agnhost", "agnhost"),
            ("/usr/bin/curl", "curl"),
            ("/usr/bin/dig", "dig"),
            ("/usr/bin/host", "host"),
            ("/bin/nslookup", "nslookup-bind"),
        ],
        tags: Tags::Versions(&[(2, 59, 9), (1, 0, 9)], "2.59"),
        entrypoint: &["/agnhost"],
        cmd: &["pause"],
        files: |tree, time| {
            // A group that the image gives its user.
            let users = "root:x:0:0:root:/root:/bin/sh\nuser-defined-in-image:x:1000:2000::/home/user-defined-in-image:/bin/sh\n";
            let groups = "root:x:0:\ngroup-defined-in-image:x:50000:user-defined-in-image\n";
            tree.insert("/etc/passwd", Entry::file(users, time));
            tree.insert("/etc/group", Entry::file(groups, time));
        },
        size_mb: 50,
        memory_mib: 8,
        ..DEFAULT
    },
    Row {
        names: &[
            "registry.k8s.io/e2e-test-images/jessie-dnsutils",
            "gcr.io/kubernetes-e2e-test-images/dnsutils",
            "docker.io/tutum/dnsutils",
        ],
        base: Base::Debian,
        programs: &[
            ("/usr/bin/dig", "dig"),
            ("/usr/bin/host", "host"),
            ("/usr/bin/nslookup", "nslookup-bind"),
            ("/bin/ping", "ping"),
            ("/usr/bin/curl", "curl"),
        ],
        cmd: &["sleep", "infinity"],
        size_mb: 86,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/nicolaka/netshoot"],
        base: Base::Workstation,
        programs: &[("/usr/bin/nslookup", "nslookup-bind")],
        cmd: &["bash"],
        size_mb: 200,
        memory_mib: 2,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/hashicorp/http-echo"],
        programs: &[("/http-echo", "http-echo")],
        entrypoint: &["/http-echo"],
        env: &[("HTTP_ECHO_VERSION", "{version}")],
        ports: &[5678],
        user: "nonroot",
        size_mb: 3,
        memory_mib: 4,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/traefik/whoami", "docker.io/containous/whoami"],
        programs: &[("/whoami", "whoami-server")],
        entrypoint: &["/whoami"],
        ports: &[80],
        size_mb: 3,
        memory_mib: 4,
        ..DEFAULT
    },
    Row {
        names: &["gcr.io/google-samples/hello-app", "us-docker.pkg.dev/google-samples/containers/gke/hello-app"],
        tags: Tags::Only(&["1.0", "2.0", "latest"]),
        base: Base::Alpine,
        programs: &[("/hello-app", "hello-app")],
        entrypoint: &["/hello-app"],
        env: &[("HELLO_VERSION", "{version}")],
        ports: &[8080],
        size_mb: 12,
        memory_mib: 4,
        ..DEFAULT
    },
    Row {
        names: &[
            "docker.io/polinux/stress",
            "docker.io/progrium/stress",
            "docker.io/alexeiled/stress-ng",
            "docker.io/polinux/stress-ng",
        ],
        base: Base::Alpine,
        programs: &[("/usr/bin/stress", "stress"), ("/usr/bin/stress-ng", "stress")],
        cmd: &["stress"],
        size_mb: 4,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/vish/stress"],
        programs: &[("/stress", "stress")],
        entrypoint: &["/stress", "-logtostderr"],
        size_mb: 1,
        memory_mib: 1,
        ..DEFAULT
    },
    // The documentation's two tiers: a back end, and nginx before it.
    Row {
        names: &["gcr.io/google-samples/hello-go-gke"],
        programs: &[("/hello-go", "hello-go-gke")],
        entrypoint: &["/hello-go"],
        ports: &[80],
        size_mb: 5,
        memory_mib: 4,
        ..DEFAULT
    },
    Row {
        names: &["gcr.io/google-samples/hello-frontend"],
        base: Base::Debian,
        programs: &[("/usr/sbin/nginx", "nginx"), ("/usr/bin/curl", "curl")],
        cmd: &["nginx", "-g", "daemon off;"],
        env: &[("NGINX_VERSION", "1.15.12")],
        ports: &[80],
        files: |tree, time| {
            nginx_files(tree, time);
            tree.insert("/etc/nginx/conf.d/default.conf", Entry::file(pages::HELLO_FRONTEND_CONF, time));
        },
        size_mb: 44,
        memory_mib: 6,
        stop_signal: Signal::Quit,
        ..DEFAULT
    },
    // nginx with whatever configuration and certificate are mounted.
    Row {
        names: &["docker.io/bprashanth/nginxhttps"],
        base: Base::Debian,
        programs: &[("/usr/sbin/nginx", "nginx"), ("/usr/bin/curl", "curl")],
        cmd: &["nginx", "-g", "daemon off;"],
        env: &[("NGINX_VERSION", "1.17.4")],
        ports: &[80, 443],
        files: nginx_files,
        size_mb: 71,
        memory_mib: 6,
        stop_signal: Signal::Quit,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/radial/busyboxplus"],
        base: Base::Busybox,
        programs: &[("/usr/bin/curl", "curl")],
        cmd: &["/bin/sh"],
        size_mb: 5,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &[
            "registry.k8s.io/serve_hostname",
            "k8s.gcr.io/serve_hostname",
            "gcr.io/google_containers/serve_hostname",
        ],
        programs: &[("/serve_hostname", "serve-hostname")],
        entrypoint: &["/serve_hostname"],
        ports: &[9376],
        size_mb: 5,
        memory_mib: 4,
        ..DEFAULT
    },
    Row {
        names: &["registry.k8s.io/etcd", "k8s.gcr.io/etcd", "gcr.io/etcd-development/etcd", "quay.io/coreos/etcd"],
        base: Base::Busybox,
        programs: &[("/usr/local/bin/etcd", "etcd-server")],
        cmd: &["/usr/local/bin/etcd"],
        ports: &[2379, 2380],
        size_mb: 100,
        memory_mib: 30,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/python"],
        tags: Tags::Versions(&[(3, 14, 9), (2, 7, 18)], "3.13.7"),
        base: Base::Debian,
        programs: &[
            ("/usr/local/bin/python3", "python3"),
            ("/usr/local/bin/python", "python3"),
            ("/usr/local/bin/pip", "pip"),
            ("/usr/local/bin/pip3", "pip"),
            ("/usr/bin/curl", "curl"),
        ],
        cmd: &["python3"],
        env: &[("PYTHON_VERSION", "{version}")],
        size_mb: 380,
        memory_mib: 10,
        ..DEFAULT
    },
    // What the documentation mounts as an image volume.
    Row {
        names: &["quay.io/crio/artifact"],
        files: |tree, time| {
            tree.insert("/dir/file", Entry::file("1\n", time));
            tree.insert("/file", Entry::file("2\n", time));
        },
        size_mb: 1,
        ..DEFAULT
    },
    Row {
        names: &["registry.k8s.io/hpa-example", "k8s.gcr.io/hpa-example", "gcr.io/google_containers/hpa-example"],
        base: Base::Debian,
        programs: &[("/usr/local/bin/apache2-foreground", "hpa-example")],
        cmd: &["apache2-foreground"],
        ports: &[80],
        working_dir: "/var/www/html",
        size_mb: 176,
        memory_mib: 20,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/postgres"],
        tags: Tags::Versions(
            &[
                (18, 0, 9),
                (17, 6, 9),
                (16, 10, 9),
                (15, 14, 9),
                (14, 19, 9),
                (13, 22, 9),
                (12, 22, 9),
                (10, 23, 9),
                (9, 6, 24),
            ],
            "17.6",
        ),
        base: Base::Debian,
        programs: &[
            ("/usr/local/bin/docker-entrypoint.sh", "postgres"),
            ("/usr/local/bin/postgres", "postgres"),
            ("/usr/bin/psql", "psql"),
            ("/usr/bin/pg_isready", "pg_isready"),
        ],
        entrypoint: &["docker-entrypoint.sh"],
        cmd: &["postgres"],
        env: &[("PG_VERSION", "{version}"), ("PGDATA", "/var/lib/postgresql/data")],
        ports: &[5432],
        size_mb: 150,
        memory_mib: 40,
        stop_signal: Signal::Int,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/mysql"],
        base: Base::Debian,
        programs: &[
            ("/usr/local/bin/docker-entrypoint.sh", "mysqld"),
            ("/usr/sbin/mysqld", "mysqld"),
            ("/usr/bin/mysql", "mysql"),
            ("/usr/bin/mysqladmin", "mysql"),
        ],
        entrypoint: &["docker-entrypoint.sh"],
        cmd: &["mysqld"],
        env: &[("MYSQL_VERSION", "{version}")],
        ports: &[3306],
        size_mb: 240,
        memory_mib: 350,
        ..DEFAULT
    },
    Row {
        names: &["gcr.io/google-samples/xtrabackup"],
        base: Base::Debian,
        programs: &[
            ("/usr/bin/mysql", "mysql"),
            ("/usr/bin/ncat", "ncat"),
            ("/usr/bin/xbstream", "xbstream"),
            ("/usr/bin/xtrabackup", "xtrabackup"),
        ],
        cmd: &["bash"],
        size_mb: 90,
        memory_mib: 5,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/mariadb"],
        base: Base::Debian,
        programs: &[
            ("/usr/local/bin/docker-entrypoint.sh", "mysqld"),
            ("/usr/sbin/mariadbd", "mysqld"),
            ("/usr/bin/mariadb", "mysql"),
            ("/usr/bin/mysql", "mysql"),
            ("/usr/bin/mariadb-admin", "mysql"),
        ],
        entrypoint: &["docker-entrypoint.sh"],
        cmd: &["mariadbd"],
        env: &[("MYSQL_VERSION", "{version}-MariaDB")],
        ports: &[3306],
        size_mb: 120,
        memory_mib: 80,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/wordpress"],
        base: Base::Debian,
        programs: &[("/usr/local/bin/apache2-foreground", "wordpress"), ("/usr/bin/curl", "curl")],
        cmd: &["apache2-foreground"],
        env: &[("WORDPRESS_VERSION", "{version}")],
        ports: &[80],
        files: |tree, time| tree.insert("/var/www/html", Entry::directory(time)),
        working_dir: "/var/www/html",
        size_mb: 220,
        memory_mib: 60,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/mongo"],
        base: Base::Debian,
        programs: &[
            ("/usr/bin/mongod", "mongod"),
            ("/usr/bin/mongosh", "mongo-shell"),
            ("/usr/bin/mongo", "mongo-shell"),
        ],
        entrypoint: &["docker-entrypoint.sh"],
        cmd: &["mongod"],
        files: |tree, time| {
            // Flags alone are the server's.
            let script = "#!/bin/sh\ncase \"$1\" in -*) set -- mongod \"$@\";; esac\nexec \"$@\"\n";
            tree.insert("/usr/local/bin/docker-entrypoint.sh", Entry { mode: 0o755, ..Entry::file(script, time) });
            tree.insert("/data/db", Entry::directory(time));
        },
        ports: &[27017],
        size_mb: 240,
        memory_mib: 90,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/memcached"],
        base: Base::Debian,
        programs: &[("/usr/local/bin/memcached", "memcached")],
        cmd: &["memcached"],
        ports: &[11211],
        user: "11211",
        size_mb: 30,
        memory_mib: 4,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/rabbitmq"],
        base: Base::Debian,
        programs: &[
            ("/opt/rabbitmq/sbin/rabbitmq-server", "rabbitmq-server"),
            ("/usr/local/bin/rabbitmq-server", "rabbitmq-server"),
            ("/usr/local/bin/rabbitmqctl", "rabbitmqctl"),
            ("/usr/local/bin/rabbitmq-diagnostics", "rabbitmqctl"),
        ],
        cmd: &["rabbitmq-server"],
        ports: &[5672, 15672],
        size_mb: 110,
        memory_mib: 110,
        ..DEFAULT
    },
    Row {
        names: &["gcr.io/google-samples/cassandra", "docker.io/library/cassandra"],
        base: Base::Debian,
        programs: &[
            ("/run.sh", "cassandra"),
            ("/ready-probe.sh", "cassandra-ready"),
            ("/usr/local/bin/nodetool", "nodetool"),
            ("/usr/local/bin/cqlsh", "cqlsh"),
        ],
        cmd: &["/run.sh"],
        ports: &[7000, 7199, 9042],
        size_mb: 150,
        memory_mib: 600,
        ..DEFAULT
    },
    Row {
        names: &[
            "registry.k8s.io/kubernetes-zookeeper",
            "k8s.gcr.io/kubernetes-zookeeper",
            "gcr.io/google_samples/k8szk",
            "docker.io/library/zookeeper",
        ],
        base: Base::Debian,
        programs: &[("/usr/bin/ps", "ps"), ("/usr/bin/pgrep", "pgrep"), ("/usr/bin/pkill", "pkill")],
        cmd: &["start-zookeeper"],
        ports: &[2181, 2888, 3888],
        files: zookeeper_files,
        size_mb: 140,
        memory_mib: 90,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/dockersamples/examplevotingapp_vote", "docker.io/kodekloud/examplevotingapp_vote"],
        base: Base::Debian,
        programs: &[("/usr/local/bin/gunicorn", "vote")],
        cmd: &["/usr/local/bin/gunicorn"],
        ports: &[80],
        working_dir: "/app",
        size_mb: 60,
        memory_mib: 40,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/dockersamples/examplevotingapp_result", "docker.io/kodekloud/examplevotingapp_result"],
        base: Base::Debian,
        programs: &[("/usr/local/bin/node", "vote-result")],
        cmd: &["/usr/local/bin/node"],
        ports: &[80],
        working_dir: "/app",
        size_mb: 70,
        memory_mib: 45,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/dockersamples/examplevotingapp_worker", "docker.io/kodekloud/examplevotingapp_worker"],
        base: Base::Debian,
        programs: &[("/app/Worker", "vote-worker")],
        cmd: &["/app/Worker"],
        ports: &[],
        working_dir: "/app",
        size_mb: 80,
        memory_mib: 35,
        ..DEFAULT
    },
    Row {
        names: &[
            "gcr.io/google_samples/gb-frontend",
            "gcr.io/google-samples/gb-frontend",
            "us-docker.pkg.dev/google-samples/containers/gke/gb-frontend",
        ],
        base: Base::Debian,
        programs: &[("/usr/local/bin/apache2-foreground", "gb-frontend")],
        cmd: &["apache2-foreground"],
        ports: &[80],
        size_mb: 140,
        memory_mib: 20,
        ..DEFAULT
    },
    Row {
        names: &[
            "gcr.io/google_samples/gb-redis-follower",
            "gcr.io/google-samples/gb-redis-follower",
            "us-docker.pkg.dev/google-samples/containers/gke/gb-redis-follower",
        ],
        base: Base::Debian,
        programs: &[("/usr/local/bin/redis-server", "gb-follower"), ("/usr/local/bin/redis-cli", "redis-cli")],
        cmd: &["redis-server"],
        ports: &[6379],
        size_mb: 45,
        memory_mib: 9,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/library/hello-world"],
        programs: &[("/hello", "hello-world")],
        cmd: &["/hello"],
        size_mb: 1,
        memory_mib: 1,
        ..DEFAULT
    },
    Row {
        names: &["docker.io/curlimages/curl"],
        base: Base::Alpine,
        programs: &[("/usr/bin/curl", "curl"), ("/entrypoint.sh", "curl-entrypoint")],
        entrypoint: &["/entrypoint.sh"],
        cmd: &["curl"],
        user: "100",
        size_mb: 9,
        memory_mib: 2,
        ..DEFAULT
    },
    // The dashboard of the fourth document: a stand-in, under the name by which it is run.
    Row {
        names: &["docker.io/kubernetesui/dashboard"],
        base: Base::Alpine,
        programs: &[("/dashboard", "generic-server")],
        entrypoint: &["/dashboard"],
        env: &[("GENERIC_IMAGE", "the Kubernetes dashboard"), ("PLAYGROUND_PORTS", "8443,9090")],
        size_mb: 75,
        memory_mib: 16,
        ..DEFAULT
    },
];

/// What any other image is: a server on the ports its container declares.
pub(super) const GENERIC: Row = Row {
    base: Base::Alpine,
    programs: &[("/usr/local/bin/generic-server", "generic-server")],
    entrypoint: &[],
    cmd: &["generic-server"],
    size_mb: 40,
    memory_mib: 16,
    ..DEFAULT
};

/// Everything of ZooKeeper's belongs to its user, who may take it away: links lead to it from where it is called.
fn zookeeper_files(tree: &mut Tree, time: Timestamp) {
    const USER: u32 = 1000;
    let owned = |entry: Entry| Entry { uid: USER, gid: USER, ..entry };
    for folder in ["/opt/zookeeper", "/opt/zookeeper/bin"] {
        tree.insert(folder, owned(Entry::directory(time)));
    }
    // Any user of a pod may write the configuration.
    tree.insert("/opt/zookeeper/conf", Entry { mode: 0o777, ..owned(Entry::directory(time)) });
    tree.insert("/usr/etc/zookeeper", Entry::symlink("/opt/zookeeper/conf", time));
    for (name, program) in [
        ("start-zookeeper", "zookeeper"),
        ("zookeeper-ready", "zookeeper-ready"),
        ("zkOk.sh", "zookeeper-ready"),
        ("zkCli.sh", "zookeeper-cli"),
        ("zkServer.sh", "zookeeper-cli"),
    ] {
        tree.insert(&format!("/opt/zookeeper/bin/{name}"), owned(Entry::program(program, time)));
        tree.insert(&format!("/usr/bin/{name}"), Entry::symlink(&format!("/opt/zookeeper/bin/{name}"), time));
    }
    add_user(tree, time, "zookeeper:x:1000:1000::/home/zookeeper:/bin/sh\n", "zookeeper:x:1000:\n");
}

/// Adds a user and a group.
fn add_user(tree: &mut Tree, time: Timestamp, user: &str, group: &str) {
    for (path, row) in [("/etc/passwd", user), ("/etc/group", group)] {
        let before = tree.get(path).and_then(|entry| entry.content().ok()).unwrap_or_default();
        tree.insert(path, Entry::file([&before[..], row.as_bytes()].concat(), time));
    }
}

fn nginx_files(tree: &mut Tree, time: Timestamp) {
    add_user(tree, time, "nginx:x:101:101:nginx user:/nonexistent:/bin/false\n", "nginx:x:101:\n");
    tree.insert("/usr/share/nginx/html/index.html", Entry::file(pages::NGINX, time));
    tree.insert("/usr/share/nginx/html/50x.html", Entry::file(pages::NGINX_50X, time));
    tree.insert("/etc/nginx/nginx.conf", Entry::file(pages::NGINX_CONF, time));
    tree.insert("/etc/nginx/conf.d/default.conf", Entry::file(pages::NGINX_DEFAULT_CONF, time));
    tree.insert("/var/cache/nginx", Entry::directory(time));
    tree.insert("/var/log/nginx/access.log", Entry::symlink("/dev/stdout", time));
    tree.insert("/var/log/nginx/error.log", Entry::symlink("/dev/stderr", time));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_do_not_exist_are_not_found() {
        let nginx = &ROWS[0].tags;
        assert_eq!(nginx.version("1.7.9").as_deref(), Some("1.7.9"));
        assert_eq!(nginx.version("1.16.1").as_deref(), Some("1.16.1"));
        assert_eq!(nginx.version("latest").as_deref(), Some("1.29.1"));
        assert_eq!(nginx.version("1.27-alpine").as_deref(), Some("1.27.3"));
        assert_eq!(nginx.version("stable-alpine").as_deref(), Some("1.29.1"));
        for missing in ["1.161", "does-not-exist", "9", "1.2.3.4", "1.27-nope", "latestt", ""] {
            assert_eq!(nginx.version(missing), None, "{missing}");
        }
    }
}
