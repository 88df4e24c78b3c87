//! `kubectl describe`.

mod certificate;
mod config;
mod events;
mod generic;
mod network;
mod node;
mod page;
mod pod;
mod storage;
mod workload;

use serde_json::Value;

pub(super) use events::seen_at;
use page::Page;

use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::resources::{self, text};
use crate::select::{self, Choice, Info, Item};
use crate::session::Session;

/// In place of a file: the object was found by the beginning of its name.
const BY_PREFIX: &str = "by prefix";

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if args.args.is_empty() && !files::given(session) {
        return Err(Error::message(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of \
             supported resources.",
        ));
    }
    let choice = Choice {
        args: &args.args,
        selector: args.string("selector"),
        all: true,
        all_namespaces: args.bool("all-namespaces"),
        latest: true,
        ..Choice::default()
    };
    let plan = select::listed(session, &choice).await?;
    let mut errors = Vec::new();
    let mut infos = Vec::new();
    for item in plan {
        match found(session, &choice, item).await {
            Ok(found) => infos.extend(found),
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    if infos.is_empty() && errors.is_empty() {
        match choice.all_namespaces {
            true => session.errln("No resources found"),
            false => session.errln(format!("No resources found in {} namespace.", session.namespace().await?.0)),
        }
    }
    let mut first = true;
    for info in &infos {
        let by_prefix = info.source == BY_PREFIX;
        let page = match describe(session, info).await {
            Ok(page) => page,
            Err(error @ Error::Send { .. }) => return Err(error),
            // What cannot be described keeps no other from being.
            Err(error) => {
                if !errors.contains(&error) {
                    errors.push(error);
                }
                continue;
            }
        };
        if !first && !by_prefix {
            session.out("\n\n");
        }
        first = false;
        session.out(page);
        if by_prefix {
            session.out("\n");
        }
    }
    Error::all(errors)
}

/// Whether a name may be a prefix: where it is the only one, after its kind.
fn is_kind_and_name(args: &[String]) -> bool {
    matches!(args, [kind, _] if !kind.contains('/'))
}

/// The objects an item means; a name that does not exist may be a prefix.
async fn found(session: &Session<'_>, choice: &Choice<'_>, item: Item) -> Result<Vec<Info>, Error> {
    let client = session.client().await?;
    match item {
        Item::Failed(error) => Err(error),
        Item::File(mut info) => {
            info.object = client.get(info.path()).await?;
            Ok(vec![*info])
        }
        Item::List(resource, namespace) => {
            let url = Url::new(resource.path(&namespace, "")).with_some("labelSelector", choice.selector);
            let list = select::list_all(session, url).await?;
            Ok(list.into_iter().map(|object| select::of_object(&resource, object)).collect())
        }
        Item::Named(resource, namespace, name) => match client.get(resource.path(&namespace, &name)).await {
            Ok(object) => Ok(vec![Info { resource, namespace, name, object, source: String::new() }]),
            Err(error) if error.is_not_found() && is_kind_and_name(choice.args) => {
                let list = select::list_all(session, Url::new(resource.path(&namespace, ""))).await?;
                let matching: Vec<Info> = list
                    .into_iter()
                    .filter(|object| text(&object["metadata"]["name"]).starts_with(&name))
                    .map(|object| Info { source: BY_PREFIX.into(), ..select::of_object(&resource, object) })
                    .collect();
                if matching.is_empty() {
                    return Err(resources::or_no_namespace(client, &namespace, error).await);
                }
                Ok(matching)
            }
            Err(error) => Err(error),
        },
    }
}

async fn describe(session: &Session<'_>, info: &Info) -> Result<String, Error> {
    let mut page = Page::new(session.now());
    let object = &info.object;
    let group = info.resource.group.as_str();
    let mut with_events = true;
    match (group, info.resource.kind.as_str()) {
        ("", "Pod") => pod::pod(&mut page, object),
        ("apps", "Deployment") => workload::deployment(session, &mut page, object).await?,
        ("apps", "ReplicaSet") => workload::replica_set(session, &mut page, object).await?,
        ("", "ReplicationController") => workload::replication_controller(session, &mut page, object).await?,
        ("apps", "DaemonSet") => workload::daemon_set(session, &mut page, object).await?,
        ("apps", "StatefulSet") => workload::stateful_set(session, &mut page, object).await?,
        ("batch", "Job") => workload::job(&mut page, object),
        ("batch", "CronJob") => workload::cron_job(&mut page, object),
        ("", "Service") => network::service(session, &mut page, object).await?,
        ("", "Endpoints") => network::endpoints(&mut page, object),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(&mut page, object),
        ("networking.k8s.io", "Ingress") => network::ingress(session, &mut page, object).await?,
        ("", "Node") => node::node(session, &mut page, object).await?,
        ("", "Namespace") => {
            config::namespace(session, &mut page, object).await?;
            with_events = false;
        }
        ("", "ConfigMap") => config::config_map(&mut page, object),
        ("", "Secret") => {
            config::secret(&mut page, object);
            with_events = false;
        }
        ("", "ServiceAccount") => config::service_account(session, &mut page, object).await,
        ("", "ResourceQuota") => {
            config::quota(&mut page, object);
            with_events = false;
        }
        ("", "LimitRange") => {
            config::limit_range(&mut page, object);
            with_events = false;
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            config::role(&mut page, object);
            with_events = false;
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            config::role_binding(&mut page, object);
            with_events = false;
        }
        ("", "PersistentVolumeClaim") => storage::claim(session, &mut page, object).await?,
        ("", "PersistentVolume") => storage::volume(&mut page, object),
        ("storage.k8s.io", "StorageClass") => storage::class(&mut page, object),
        ("storage.k8s.io", "CSINode") => storage::csi_node(&mut page, object),
        ("autoscaling", "HorizontalPodAutoscaler") => workload::autoscaler(&mut page, object),
        ("policy", "PodDisruptionBudget") => workload::disruption_budget(&mut page, object),
        ("scheduling.k8s.io", "PriorityClass") => config::priority_class(&mut page, object),
        ("networking.k8s.io", "IngressClass") => config::ingress_class(&mut page, object),
        ("certificates.k8s.io", "CertificateSigningRequest") => certificate::request(&mut page, object),
        ("networking.k8s.io", "NetworkPolicy") => {
            network::policy(&mut page, object);
            with_events = false;
        }
        _ => generic::object(&mut page, info),
    }
    if with_events && session.args.bool("show-events") {
        let events = events::of(session, info).await.unwrap_or_default();
        events::section(&mut page, events);
    }
    Ok(page.finish())
}

/// The pod template of a workload, as `rollout history --revision` shows it.
pub(super) fn pod_template(template: &Value, now: machinery::Timestamp) -> String {
    let mut page = Page::new(now);
    pod::template(&mut page, template);
    page.unaligned()
}
