//! kube-apiserver without sockets: request in; response, watch stream or upgrade out.

pub mod registry;
