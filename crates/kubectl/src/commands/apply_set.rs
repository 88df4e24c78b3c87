//! `kubectl apply --prune --applyset`: what belongs together is kept by an object of its own (KEP-3659).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;
use http::Method;
use serde_json::json;
use sha2::Digest as _;

use super::create::validation;
use super::delete::{self, Deletion};
use super::server::CLIENT_VERSION;
use crate::api::Url;
use crate::error::Error;
use crate::print::output::{Output, done};
use crate::resources::{Resource, qualify, text};
use crate::select::{self, Info};
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

const ID: &str = "applyset.kubernetes.io/id";
const PART_OF: &str = "applyset.kubernetes.io/part-of";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const MANAGER: &str = "kubectl-applyset";
const TOOL: &str = "kubectl";
/// The variable that turns the flag on.
const FEATURE: &str = "KUBECTL_APPLYSET";

/// A set of applied objects.
pub(super) struct ApplySet {
    parent: Resource,
    name: String,
    namespace: String,
    /// `Kind.group`, and namespaces, that have been in it.
    before: (BTreeSet<String>, BTreeSet<String>),
    /// The same of what is being applied.
    now: (BTreeSet<String>, BTreeSet<String>),
}

impl ApplySet {
    /// The set that `--applyset` names; `None` without the flag.
    ///
    /// # Errors
    /// A parent that is none, and flags that do not go with it.
    pub(super) async fn of_flags(session: &Session<'_>) -> Result<Option<Self>, Error> {
        let args = &session.args;
        if !args.changed("applyset") {
            return Ok(None);
        }
        if session.host.env(FEATURE).as_deref() != Some("true") {
            let help = format!("See '{} --help' for usage.", args.command.full_name());
            return Err(Error::Verbatim(format!("Error: unknown flag: --applyset\n{help}")));
        }
        let given = args.string("applyset");
        let invalid = |reason: &str| Error::message(format!("invalid parent reference {given:?}: {reason}"));
        let (kind, name) = given.split_once('/').unwrap_or(("secrets", given));
        if name.is_empty() {
            return Err(invalid("name cannot be blank"));
        }
        let parent = session.mapper().await?.find(kind);
        let parent = parent.map_err(|_| {
            let (name, group) = kind.split_once('.').unwrap_or((kind, ""));
            invalid(&format!("no matches for {group}/, Resource={name}"))
        })?;
        // Of the flag alone: a namespace of the kubeconfig does not count.
        let namespace = if parent.namespaced { args.string("namespace").to_owned() } else { String::new() };
        let name = name.to_owned();
        Ok(Some(Self { parent, name, namespace, before: Default::default(), now: Default::default() }))
    }

    /// Whether the other flags go with it.
    ///
    /// # Errors
    /// Those of upstream's `ApplyOptions.Validate`.
    pub(super) async fn check_flags(&self, session: &Session<'_>) -> Result<(), Error> {
        let args = &session.args;
        if !args.bool("prune") {
            return Err(Error::message("--applyset requires --prune"));
        }
        let mut problems = Vec::new();
        if self.parent.namespaced && self.namespace.is_empty() {
            problems.push(Error::message("namespace is required to use namespace-scoped ApplySet"));
        }
        if !self.is_built_in() {
            let url = Url::new("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
                .with("labelSelector", "applyset.kubernetes.io/is-parent-type");
            let found = session.client().await?.get(url).await;
            if let Err(error) = &found {
                let reason = error.plain();
                problems.push(Error::message(format!("identifying allowed custom resource parent types: {reason}")));
            }
            let qualified = self.parent.qualified();
            let permitted = found.is_ok_and(|list| {
                crate::resources::items(&list["items"]).any(|crd| crd["metadata"]["name"] == qualified.as_str())
            });
            if !permitted {
                let Resource { group, version, name, .. } = &self.parent;
                problems.push(Error::message(format!(
                    "resource \"{group}/{version}, Resource={name}\" is not permitted as an ApplySet parent"
                )));
            }
        }
        Error::all(problems)?;
        for (flag, set) in [
            ("all", args.bool("all")),
            ("selector", !args.string("selector").is_empty()),
            ("prune-allowlist", !args.list("prune-allowlist").is_empty()),
        ] {
            if set {
                return Err(Error::message(format!("--{flag} is incompatible with --applyset")));
            }
        }
        Ok(())
    }

    fn is_built_in(&self) -> bool {
        self.parent.group.is_empty() && matches!(self.parent.name.as_str(), "secrets" | "configmaps")
    }

    /// `secrets./set`
    fn shown(&self) -> String {
        format!("{}.{}/{}", self.parent.name, self.parent.group, self.name)
    }

    fn id(&self) -> String {
        let Resource { kind, group, .. } = &self.parent;
        let whole = format!("{}.{}.{kind}.{group}", self.name, self.namespace);
        format!("applyset-{}-v1", BASE64_URL.encode(sha2::Sha256::digest(whole.as_bytes())))
    }

    /// Marks objects as its members.
    ///
    /// # Errors
    /// Members already marked.
    pub(super) fn add_labels(&self, infos: &mut [Info]) -> Result<(), Error> {
        for info in infos {
            if !info.object["metadata"]["labels"][PART_OF].is_null() {
                return Err(Error::message(format!("ApplySet label {PART_OF:?} already set in input data")));
            }
            info.object.put(&["metadata", "labels", PART_OF], self.id());
        }
        Ok(())
    }

    /// Reads what is in the set, and notes what comes to it before anything does.
    ///
    /// # Errors
    /// A parent that is something else; what the server says.
    pub(super) async fn before_apply(
        &mut self,
        session: &Session<'_>,
        infos: &[Info],
        dry_run: DryRun,
    ) -> Result<(), Error> {
        self.fetch_parent(session).await?;
        for info in infos {
            self.now.0.insert(qualify(&info.resource.kind, &info.resource.group));
            if info.resource.namespaced {
                self.now.1.insert(info.namespace.clone());
            }
        }
        let kinds = self.before.0.union(&self.now.0).cloned().collect();
        let namespaces = self.before.1.union(&self.now.1).cloned().collect();
        self.update_parent(session, &kinds, &namespaces, dry_run).await
    }

    async fn fetch_parent(&mut self, session: &Session<'_>) -> Result<(), Error> {
        let shown = self.shown();
        let path = self.parent.path(&self.namespace, &self.name);
        let parent = match session.client().await?.get(path).await {
            Ok(parent) => parent,
            Err(error) if error.is_not_found() && self.is_built_in() => return Ok(()),
            Err(error) if error.is_not_found() => {
                return Err(Error::message("custom resource ApplySet parents cannot be created automatically"));
            }
            Err(error) => {
                let reason = error.plain();
                return Err(Error::message(format!("failed to fetch ApplySet parent object {shown:?}: {reason}")));
            }
        };
        let (annotations, id) = (&parent["metadata"]["annotations"], &parent["metadata"]["labels"][ID]);
        let refuse = |problem: String| Err(Error::message(format!("ApplySet parent object {shown:?} {problem}")));
        let Some(tooling) = annotations[TOOLING].as_str() else {
            return refuse(format!("already exists and is missing required annotation {TOOLING:?}"));
        };
        let tool = tooling.rsplit_once('/').map_or(tooling, |(tool, _)| tool);
        if tool != TOOL {
            return refuse(format!("already exists and is managed by tooling {tool:?} instead of {TOOL:?}"));
        }
        let Some(id) = id.as_str() else {
            return refuse(format!("exists and does not have required label {ID}"));
        };
        if id != self.id() {
            let wanted = self.id();
            return refuse(format!("exists and has incorrect value for label {ID:?} (got: {id}, want: {wanted})"));
        }
        let Some(kinds) = annotations[KINDS].as_str() else {
            return Err(Error::message(format!(
                "parsing ApplySet annotation on {shown:?}: kubectl requires the {KINDS:?} annotation to be set on all \
                 ApplySet parent objects"
            )));
        };
        let words = |text: &str| text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        self.before = (words(kinds), words(&text(&annotations[NAMESPACES])));
        if self.parent.namespaced {
            self.before.1.insert(self.namespace.clone());
        }
        Ok(())
    }

    async fn update_parent(
        &self,
        session: &Session<'_>,
        kinds: &BTreeSet<String>,
        namespaces: &BTreeSet<String>,
        dry_run: DryRun,
    ) -> Result<(), Error> {
        if dry_run == DryRun::Client {
            return Ok(());
        }
        let joined = |words: &BTreeSet<String>, skip: &str| {
            words.iter().map(String::as_str).filter(|word| *word != skip).collect::<Vec<_>>().join(",")
        };
        let mut object = json!({
            "apiVersion": self.parent.api_version(),
            "kind": self.parent.kind,
            "metadata": {
                "name": self.name,
                "annotations": {
                    KINDS: joined(kinds, ""),
                    NAMESPACES: joined(namespaces, &self.namespace),
                    TOOLING: format!("{TOOL}/{CLIENT_VERSION}"),
                },
                "labels": { ID: self.id() },
            },
        });
        if self.parent.namespaced {
            object.put(&["metadata", "namespace"], self.namespace.as_str());
        }
        let url = |force: &str| -> Result<Url, Error> {
            Ok(Url::new(self.parent.path(&self.namespace, &self.name))
                .with_some("dryRun", dry_run.parameter())
                .with("fieldManager", MANAGER)
                .with("fieldValidation", validation(session)?)
                .with("force", force))
        };
        let client = session.client().await?;
        let mut answer = client.write(Method::PATCH, url("false")?, APPLY_PATCH, &object).await;
        if answer.as_ref().is_err_and(|error| error.is_reason("Conflict")) {
            answer = client.write(Method::PATCH, url("true")?, APPLY_PATCH, &object).await;
        }
        let failed = |error: Error| Error::message(format!("failed to update ApplySet: {}", error.plain()));
        answer.map(|_| ()).map_err(failed)
    }

    /// Deletes the members that were not applied this time, and leaves the others in the set.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn prune(
        &self,
        session: &Session<'_>,
        kept: &BTreeSet<String>,
        output: &Output,
        dry_run: DryRun,
    ) -> Result<(), Error> {
        let (grace_period, propagation) = (session.args.int("grace-period"), delete::propagation(session)?);
        let deletion = Deletion { grace_period, propagation, dry_run };
        let mapper = session.mapper().await?;
        let everywhere = BTreeSet::from([String::new()]);
        for kind in &self.before.0 {
            let (name, group) = kind.split_once('.').unwrap_or((kind, ""));
            let is_it = |known: &&Resource| known.kind == name && known.group == group;
            let Some(resource) = mapper.resources.iter().find(is_it) else { continue };
            for namespace in if resource.namespaced { &self.before.1 } else { &everywhere } {
                let url =
                    Url::new(resource.path(namespace, "")).with("labelSelector", format!("{PART_OF}={}", self.id()));
                for object in select::list_all(session, url).await? {
                    if kept.contains(&text(&object["metadata"]["uid"])) {
                        continue;
                    }
                    let info = select::of_object(resource, object);
                    if dry_run != DryRun::Client {
                        delete::delete(session, &info, &deletion).await?;
                    }
                    done(session, output, &info.object, &format!("pruned{}", dry_run.suffix()))?;
                }
            }
        }
        let (kinds, namespaces) = &self.now;
        let written = self.update_parent(session, kinds, namespaces, dry_run).await;
        let failed = |error: Error| {
            Error::message(format!("apply and prune succeeded, but ApplySet update failed: {}", error.plain()))
        };
        written.map_err(failed)
    }
}

const APPLY_PATCH: &str = "application/apply-patch+yaml";
