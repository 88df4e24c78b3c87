//! [`ResourceInfo`]: the row of a resource, the look-ups over all rows, and the generic part of create
//! and update.

use std::sync::OnceLock;

use machinery::field::ErrorList;
use machinery::sort::Order;
use machinery::{GroupResource, GroupVersionKind, GroupVersionResource, Object, Timestamp};
use serde_json::Value;

use super::shared::meta;
use super::strategy::{Strategy, Update};

/// The verbs of an ordinary resource, as discovery lists them.
pub const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The verbs of a subresource that takes the whole object, such as `status`.
pub const OBJECT_VERBS: &[&str] = &["get", "patch", "update"];

/// A column of a resource's table, as `metav1.TableColumnDefinition` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading, such as `Ready`.
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub type_: &'static str,
    /// OpenAPI format; `name` for the column that names the object.
    pub format: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
    /// What the column says.
    pub description: &'static str,
}

/// A subresource's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubresourceInfo {
    /// Name after the slash, such as `status`.
    pub name: &'static str,
    /// API group of what it takes and gives, where `version` is not empty.
    pub group: &'static str,
    /// API version of what it takes and gives; empty for the resource's own group and version.
    pub version: &'static str,
    /// Kind of what it takes and gives, such as `Scale`; empty for the resource's own.
    pub kind: &'static str,
    /// Its verbs.
    pub verbs: &'static [&'static str],
}

impl SubresourceInfo {
    /// One that takes and gives what the resource itself does.
    pub(super) const fn own(name: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { name, group: "", version: "", kind: "", verbs }
    }

    /// One with a kind of its own.
    pub(super) const fn of(
        name: &'static str,
        (group, version): (&'static str, &'static str),
        kind: &'static str,
        verbs: &'static [&'static str],
    ) -> Self {
        Self { name, group, version, kind, verbs }
    }
}

/// `…/status`.
pub(super) const STATUS: SubresourceInfo = SubresourceInfo::own("status", OBJECT_VERBS);
/// `…/scale`.
pub(super) const SCALE: SubresourceInfo = SubresourceInfo::of("scale", ("autoscaling", "v1"), "Scale", OBJECT_VERBS);

/// How a resource's wire form becomes the form that is stored and that its strategy knows, and back:
/// for the second version of a kind, or its second group. JSON in, JSON out, `apiVersion` included.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// Wire form to stored form.
    pub to_stored: fn(Value) -> Value,
    /// Stored form to wire form.
    pub from_stored: fn(Value) -> Value,
    /// The selectable fields by their names in the wire form, each with its name in the stored form;
    /// empty where they are the same.
    pub fields: &'static [(&'static str, &'static str)],
    /// What else must hold for an object, in its stored form, that is created in this version.
    pub validate: fn(&dyn Object) -> ErrorList,
}

/// One resource in one version.
pub struct ResourceInfo {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Lower-case plural: `pods`.
    pub resource: &'static str,
    /// Kind: `Pod`. A list's kind is [`Self::list_kind`].
    pub kind: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// `po`, ….
    pub short_names: &'static [&'static str],
    /// `all` for what `kubectl get all` shows.
    pub categories: &'static [&'static str],
    /// Verbs, in discovery's order.
    pub verbs: &'static [&'static str],
    /// Subresources.
    pub subresources: &'static [SubresourceInfo],
    /// Where objects lie in etcd, without slash at the end; upstream's prefix: `/registry/pods`. Empty
    /// for kinds that are only requests (Binding, TokenReview) or computed (ComponentStatus).
    pub storage_prefix: &'static str,
    /// What is done to its objects, in their stored form.
    pub strategy: &'static dyn Strategy,
    /// Where the wire form is not the stored form.
    pub conversion: Option<Conversion>,
    /// What a Warning header says to whoever uses the resource at all.
    pub deprecation: Option<&'static str>,
}

impl ResourceInfo {
    /// An ordinary namespaced resource in `/registry/` under its own name: what rows begin from.
    pub(super) const fn new(
        (group, version): (&'static str, &'static str),
        resource: &'static str,
        kind: &'static str,
        storage_prefix: &'static str,
        strategy: &'static dyn Strategy,
    ) -> Self {
        Self {
            group,
            version,
            resource,
            kind,
            namespaced: true,
            short_names: &[],
            categories: &[],
            verbs: VERBS,
            subresources: &[],
            storage_prefix,
            strategy,
            conversion: None,
            deprecation: None,
        }
    }

    /// Lower-case singular: `pod`.
    pub fn singular(&self) -> String {
        self.kind.to_ascii_lowercase()
    }

    /// Whether objects are kept, and not only answered.
    pub fn is_stored(&self) -> bool {
        !self.storage_prefix.is_empty()
    }

    /// The fields a field selector may name, besides `metadata.name` and `metadata.namespace`.
    pub fn selectable_fields(&self) -> Vec<&'static str> {
        match self.conversion.map(|conversion| conversion.fields) {
            Some(fields) if !fields.is_empty() => fields.iter().map(|(name, _)| *name).collect(),
            _ => self.strategy.fields(),
        }
    }

    /// The columns of the resource's table.
    pub fn columns(&self) -> &'static [Column] {
        self.strategy.columns()
    }

    /// Kind of a list: `PodList`.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        machinery::gvk::api_version(self.group, self.version)
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind { group: self.group.into(), version: self.version.into(), kind: self.kind.into() }
    }

    /// Group, version and resource.
    pub fn gvr(&self) -> GroupVersionResource {
        GroupVersionResource { group: self.group.into(), version: self.version.into(), resource: self.resource.into() }
    }

    /// Group and resource, as error messages name it.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource { group: self.group.into(), resource: self.resource.into() }
    }

    /// The row of a subresource.
    pub fn subresource(&self, name: &str) -> Option<&'static SubresourceInfo> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Makes a defaulted new object ready to be stored, and says what is wrong with it. Name,
    /// namespace, uid and creation time must already be set.
    pub fn before_create(&self, object: &mut dyn Object) -> ErrorList {
        meta::clear_system_fields(object.metadata_mut());
        object.metadata_mut().generation = self.strategy.has_generation().then_some(1);
        self.strategy.prepare_for_create(object);
        let mut errors = meta::validate(object.metadata(), self.namespaced, |name, prefix| {
            self.strategy.validate_name(name, prefix)
        });
        errors.extend(self.strategy.validate(object));
        errors
    }

    /// Makes a defaulted changed object ready to be stored, and says what is wrong with the change:
    /// keeps what this door may not change, keeps the metadata clients may not set, and counts the
    /// generation. The objects' names are the same.
    pub fn before_update(&self, update: Update<'_>, new: &mut dyn Object, old: &dyn Object) -> ErrorList {
        meta::keep_system_fields(new.metadata_mut(), old.metadata());
        self.strategy.prepare_for_update(update, new, old);
        if self.strategy.has_generation() {
            let generation = old.metadata().generation.unwrap_or_default();
            let changed = self.strategy.spec_differs(new, old);
            new.metadata_mut().generation = Some(if changed { generation.saturating_add(1) } else { generation });
        }
        let mut errors = meta::validate_update(new.metadata(), old.metadata(), self.namespaced);
        errors.extend(self.strategy.validate_update(update, new, old));
        errors
    }

    /// The value of a selectable field; `None` for a field that is not selectable.
    pub fn field(&self, object: &dyn Object, field: &str) -> Option<String> {
        match field {
            "metadata.name" => Some(object.metadata().name.clone().unwrap_or_default()),
            "metadata.namespace" if self.namespaced => Some(object.metadata().namespace.clone().unwrap_or_default()),
            field => self.strategy.field(object, field),
        }
    }

    /// The cells of an object's table row, one for each of [`Self::columns`].
    pub fn cells(&self, object: &dyn Object, now: Timestamp) -> Vec<Value> {
        self.strategy.cells(object, now)
    }
}

/// Every row, in discovery's order of groups.
pub fn all() -> impl Iterator<Item = &'static ResourceInfo> {
    super::GROUPS.iter().flat_map(|rows| rows.iter())
}

/// The row of a resource in one version.
pub fn by_resource(group: &str, version: &str, resource: &str) -> Option<&'static ResourceInfo> {
    // By a hash, which is quicker to compare: each request asks, some several times.
    static ORDERED: OnceLock<Vec<(u64, &'static ResourceInfo)>> = OnceLock::new();
    fn hash([resource, group, version]: [&str; 3]) -> u64 {
        resource
            .bytes()
            .chain([0])
            .chain(group.bytes())
            .chain([0])
            .chain(version.bytes())
            .fold(0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23))
    }
    let ordered = ORDERED.get_or_init(|| {
        let mut rows: Vec<_> = all().map(|row| (hash([row.resource, row.group, row.version]), row)).collect();
        rows.order_by_key(|(hash, _)| *hash);
        rows
    });
    let wanted = hash([resource, group, version]);
    let first = ordered.partition_point(|(hash, _)| *hash < wanted);
    let alike = ordered.iter().skip(first).take_while(|(hash, _)| *hash == wanted);
    let is_it = |row: &ResourceInfo| [row.resource, row.group, row.version] == [resource, group, version];
    alike.map(|(_, row)| *row).find(|row| is_it(row))
}

/// The row of a kind in one version.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static ResourceInfo> {
    all().find(|row| row.group == group && row.version == version && row.kind == kind)
}

/// The row a user means by a plural, a singular or a short name, in any case; the core group first.
pub fn by_short_name(name: &str) -> Option<&'static ResourceInfo> {
    let is = |candidate: &str| candidate.eq_ignore_ascii_case(name);
    all()
        .find(|row| is(row.resource) || is(row.kind))
        .or_else(|| all().find(|row| row.short_names.iter().any(|short| is(short))))
}
