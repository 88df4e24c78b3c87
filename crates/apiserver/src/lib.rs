//! kube-apiserver without sockets: request in; response, watch stream or upgrade out.
//!
//! Start at [`ApiServer::handle`] (`server`). A request becomes a [`RequestInfo`], then a `Call` for a
//! row of the [`registry`], and goes through the chain: authenticate, authorize, mutate and validate
//! (`admission`, the row's strategy), store (`storage`). A file a verb: `create`, `read`, `list`,
//! `watch`, `update`, `patch`, `delete`; `subresources` and `connect` for what hangs below objects.
//!
//! The crate touches nothing but its [`store::Store`] and the ports in [`Options`]; the host brings the
//! time ([`ApiServer::advance`]) and carries the bytes.

mod admission;
mod aggregated;
mod apply;
mod auth;
mod bootstrap;
mod call;
mod codec;
mod connect;
mod create;
mod delete;
mod discovery;
mod gnostic;
mod health;
mod list;
mod list_options;
mod managed_fields;
mod metrics;
mod negotiate;
mod openapi;
mod openid;
mod options;
mod patch;
#[cfg(feature = "protobuf")]
mod protobuf;
mod protobuf_fields;
mod read;
pub mod registry;
mod request_info;
mod reviews;
mod selection;
mod server;
mod service_allocation;
mod storage;
mod strict;
mod subresources;
mod table;
mod timers;
mod token_request;
mod update;
mod warnings;
mod watch;

pub use aggregated::{AggregatedApi, AggregatedResource};
pub use auth::{Authenticator, Authorizer, UserInfo};
pub use health::GIT_VERSION;
pub use options::{ControlApi, NodeConnector, Options};
pub use request_info::{Query, RequestInfo};
pub use server::{ApiServer, CommittedRevision};
