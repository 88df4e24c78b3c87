//! [`Strategy`]: what is done to the objects of a kind, whatever the kind; and [`Typed`], through which
//! a kind says it with plain functions over its own type.

use machinery::field::ErrorList;
use machinery::{Kind, Object, Timestamp};
use serde_json::Value;

use super::info::Column;
use super::shared::{names, printer};

/// An object decoded from JSON.
pub type Decoded = Result<Box<dyn Object>, serde_json::Error>;

/// What becomes of dependents when a delete request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector deletes them afterwards.
    Background,
    /// They stay, without their owner reference.
    Orphan,
}

/// What `…/scale` shows of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleView {
    /// Wanted replicas.
    pub spec_replicas: i32,
    /// Replicas there are.
    pub status_replicas: i32,
    /// The pods' label selector in its string form.
    pub selector: String,
}

/// Through which door an object is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update<'a> {
    /// The resource itself.
    Main,
    /// A subresource that takes the whole object: `status`, `ephemeralcontainers`, `resize`, `approval`, ….
    Subresource(&'a str),
}

/// What is done to the objects of one kind. Every method takes objects of that kind only; an object of
/// another kind is left as it is. Callers go through [`ResourceInfo`](super::ResourceInfo) for what has
/// a generic part.
pub trait Strategy: Sync {
    /// Reads an object of the kind. `apiVersion` and `kind` must be present and right.
    ///
    /// # Errors
    /// When a field has the wrong type.
    fn decode(&self, value: Value) -> Decoded;
    /// Sets what is absent to the kind's defaults. Applying it twice changes nothing more.
    fn default(&self, object: &mut dyn Object);
    /// Whether `metadata.generation` counts the kind's changes of spec.
    fn has_generation(&self) -> bool;
    /// Whether the kind has a status apart from its spec.
    fn has_status(&self) -> bool;
    /// Complaints about a name: whether it may be one of the kind. `prefix` for `generateName`.
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String>;
    /// Makes a new object ready to be validated: drops status, sets what the kind derives.
    fn prepare_for_create(&self, object: &mut dyn Object);
    /// What is wrong with a new object, apart from its metadata.
    fn validate(&self, object: &dyn Object) -> ErrorList;
    /// Undoes the changes that this kind of update may not make.
    fn prepare_for_update(&self, update: Update<'_>, new: &mut dyn Object, old: &dyn Object);
    /// What is wrong with an updated object, apart from its metadata.
    fn validate_update(&self, update: Update<'_>, new: &dyn Object, old: &dyn Object) -> ErrorList;
    /// Whether anything but metadata and status differs.
    fn spec_differs(&self, new: &dyn Object, old: &dyn Object) -> bool;
    /// Texts for Warning headers: what is legal but unwise. `old` on update.
    fn warnings(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String>;
    /// The value of a selectable field other than `metadata.name` and `metadata.namespace`; `None` for
    /// a field that is not selectable.
    fn field(&self, object: &dyn Object, field: &str) -> Option<String>;
    /// The fields a field selector may name, besides `metadata.name` and `metadata.namespace`.
    fn fields(&self) -> Vec<&'static str>;
    /// The columns of the kind's table.
    fn columns(&self) -> &'static [Column];
    /// The cells under [`Self::columns`], in their order. Ages are as of `now`.
    fn cells(&self, object: &dyn Object, now: Timestamp) -> Vec<Value>;
    /// Seconds between a delete request and the object's end, and so whether there is a time between at
    /// all: 0 deletes at once. `requested` is the request's `gracePeriodSeconds`.
    fn grace_period_seconds(&self, object: &dyn Object, requested: Option<i64>) -> i64;
    /// What `…/scale` shows; `None` for kinds without it.
    fn scale(&self, object: &dyn Object) -> Option<ScaleView>;
    /// Sets the wanted replicas, as an update of `…/scale` does.
    fn set_replicas(&self, object: &mut dyn Object, replicas: i32);
    /// Whether an update of an object that is not there creates it.
    fn allow_create_on_update(&self) -> bool;
    /// Whether an update may come without a resourceVersion.
    fn allow_unconditional_update(&self) -> bool;
    /// What becomes of dependents when a delete request does not say.
    fn default_propagation(&self) -> Propagation;
}

/// A subresource that takes the whole object, in functions over the kind's type.
pub struct Subresource<K: 'static> {
    /// Its name, such as `status`.
    pub name: &'static str,
    /// Undoes the changes that do not belong to it: new, old.
    pub prepare: fn(&mut K, &K),
    /// What is wrong with the change: new, old.
    pub validate: fn(&K, &K) -> ErrorList,
}

/// A field that a field selector may name.
pub struct Field<K: 'static> {
    /// Its path, such as `spec.nodeName`.
    pub name: &'static str,
    /// Its value; empty where it is absent.
    pub get: fn(&K) -> String,
}

/// How a kind with a scale reads and sets it.
pub struct ScaleFns<K: 'static> {
    /// What `…/scale` shows.
    pub view: fn(&K) -> ScaleView,
    /// Sets the wanted replicas.
    pub set: fn(&mut K, i32),
}

/// The parts of a kind that are told apart: spec (everything that is neither metadata nor status) and
/// status. Made by the macro `parts!`.
pub struct Parts<K: 'static> {
    /// Whether the specs differ.
    pub spec_differs: fn(&K, &K) -> bool,
    /// Takes the spec of the second object.
    pub keep_spec: fn(&mut K, &K),
    /// Takes the status of the second object, or drops it. `None` for kinds without status.
    pub keep_status: Option<fn(&mut K, Option<&K>)>,
}

/// A kind's strategy as data: plain functions over its type `K`. Begin with [`Typed::new`], and name
/// what the kind has beyond it.
pub struct Typed<K: Kind> {
    /// Spec and status.
    pub parts: Parts<K>,
    /// Whether `metadata.generation` counts changes of spec.
    pub generation: bool,
    /// Whether a new object may come with a status.
    pub status_on_create: bool,
    /// Which names objects may have; a DNS subdomain if the kind does not say.
    pub name: fn(&str, bool) -> Vec<String>,
    /// Sets defaults.
    pub defaults: fn(&mut K),
    /// After status was dropped, before validation.
    pub prepare_for_create: fn(&mut K),
    /// What is wrong with a new object.
    pub validate: fn(&K) -> ErrorList,
    /// After the old status was restored, before validation: new, old.
    pub prepare_for_update: fn(&mut K, &K),
    /// What is wrong with an update: new, old. Kinds check the new object here too.
    pub validate_update: fn(&K, &K) -> ErrorList,
    /// After the old spec was restored on an update of `status`: new, old.
    pub prepare_status_update: fn(&mut K, &K),
    /// What is wrong with an update of `status`: new, old.
    pub validate_status: fn(&K, &K) -> ErrorList,
    /// Subresources other than `status` that take the whole object.
    pub subresources: &'static [Subresource<K>],
    /// Warnings: new, old.
    pub warnings: fn(&K, Option<&K>) -> Vec<String>,
    /// Selectable fields.
    pub fields: &'static [Field<K>],
    /// Table columns.
    pub columns: &'static [Column],
    /// Table cells, one for each column.
    pub cells: fn(&K, Timestamp) -> Vec<Value>,
    /// Seconds of grace, from the object and the request; none if the kind does not say.
    pub grace_period_seconds: fn(&K, Option<i64>) -> i64,
    /// Scale, where the kind has one.
    pub scale: Option<ScaleFns<K>>,
    /// Whether an update of an object that is not there creates it.
    pub create_on_update: bool,
    /// Whether an update may come without a resourceVersion.
    pub unconditional_update: bool,
    /// What becomes of dependents when a delete request does not say.
    pub propagation: Propagation,
}

impl<K: Kind> Typed<K> {
    /// A kind that has nothing of its own but its parts; its table shows name and age.
    pub const fn new(parts: Parts<K>) -> Self {
        Self {
            parts,
            generation: false,
            status_on_create: false,
            name: names::subdomain,
            defaults: |_| {},
            prepare_for_create: |_| {},
            validate: |_| ErrorList::new(),
            prepare_for_update: |_, _| {},
            validate_update: |_, _| ErrorList::new(),
            prepare_status_update: |_, _| {},
            validate_status: |_, _| ErrorList::new(),
            subresources: &[],
            warnings: |_, _| Vec::new(),
            fields: &[],
            columns: printer::NAME_AND_AGE,
            cells: |object, now| printer::name_and_age(Object::metadata(object), now),
            grace_period_seconds: |_, _| 0,
            scale: None,
            create_on_update: false,
            unconditional_update: true,
            propagation: Propagation::Background,
        }
    }
}

/// The object as `K`, if it is one.
fn cast<K: Kind>(object: &dyn Object) -> Option<&K> {
    object.as_any().downcast_ref()
}

fn cast_mut<K: Kind>(object: &mut dyn Object) -> Option<&mut K> {
    object.as_any_mut().downcast_mut()
}

impl<K: Kind> Strategy for Typed<K> {
    fn decode(&self, value: Value) -> Decoded {
        Ok(Box::new(K::from_value(value)?))
    }

    fn default(&self, object: &mut dyn Object) {
        if let Some(object) = cast_mut(object) {
            (self.defaults)(object);
        }
    }

    fn has_generation(&self) -> bool {
        self.generation
    }

    fn has_status(&self) -> bool {
        self.parts.keep_status.is_some()
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        (self.name)(name, prefix)
    }

    fn prepare_for_create(&self, object: &mut dyn Object) {
        let Some(object) = cast_mut(object) else { return };
        if let Some(keep_status) = self.parts.keep_status.filter(|_| !self.status_on_create) {
            keep_status(object, None);
        }
        (self.prepare_for_create)(object);
    }

    fn validate(&self, object: &dyn Object) -> ErrorList {
        cast(object).map(self.validate).unwrap_or_default()
    }

    fn prepare_for_update(&self, update: Update<'_>, new: &mut dyn Object, old: &dyn Object) {
        let (Some(new), Some(old)) = (cast_mut(new), cast(old)) else { return };
        match update {
            Update::Main => {
                if let Some(keep_status) = self.parts.keep_status {
                    keep_status(new, Some(old));
                }
                (self.prepare_for_update)(new, old);
            }
            Update::Subresource("status") => {
                (self.parts.keep_spec)(new, old);
                (self.prepare_status_update)(new, old);
            }
            Update::Subresource(name) => {
                if let Some(subresource) = self.subresources.iter().find(|subresource| subresource.name == name) {
                    (subresource.prepare)(new, old);
                }
            }
        }
    }

    fn validate_update(&self, update: Update<'_>, new: &dyn Object, old: &dyn Object) -> ErrorList {
        let (Some(new), Some(old)) = (cast(new), cast(old)) else { return ErrorList::new() };
        match update {
            Update::Main => (self.validate_update)(new, old),
            Update::Subresource("status") => (self.validate_status)(new, old),
            Update::Subresource(name) => self
                .subresources
                .iter()
                .find(|subresource| subresource.name == name)
                .map(|subresource| (subresource.validate)(new, old))
                .unwrap_or_default(),
        }
    }

    fn spec_differs(&self, new: &dyn Object, old: &dyn Object) -> bool {
        match (cast(new), cast(old)) {
            (Some(new), Some(old)) => (self.parts.spec_differs)(new, old),
            _ => false,
        }
    }

    fn warnings(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        cast(new).map(|new| (self.warnings)(new, old.and_then(cast))).unwrap_or_default()
    }

    fn field(&self, object: &dyn Object, field: &str) -> Option<String> {
        let field = self.fields.iter().find(|candidate| candidate.name == field)?;
        cast(object).map(field.get)
    }

    fn fields(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }

    fn columns(&self) -> &'static [Column] {
        self.columns
    }

    fn cells(&self, object: &dyn Object, now: Timestamp) -> Vec<Value> {
        cast(object).map(|object| (self.cells)(object, now)).unwrap_or_default()
    }

    fn grace_period_seconds(&self, object: &dyn Object, requested: Option<i64>) -> i64 {
        cast(object).map(|object| (self.grace_period_seconds)(object, requested)).unwrap_or_default()
    }

    fn scale(&self, object: &dyn Object) -> Option<ScaleView> {
        let scale = self.scale.as_ref()?;
        cast(object).map(scale.view)
    }

    fn set_replicas(&self, object: &mut dyn Object, replicas: i32) {
        if let (Some(scale), Some(object)) = (&self.scale, cast_mut(object)) {
            (scale.set)(object, replicas);
        }
    }

    fn allow_create_on_update(&self) -> bool {
        self.create_on_update
    }

    fn allow_unconditional_update(&self) -> bool {
        self.unconditional_update
    }

    fn default_propagation(&self) -> Propagation {
        self.propagation
    }
}

/// [`Parts`] of a kind from its type and the names of its fields: those of its spec, and its status after
/// a semicolon if it has one. Kinds without `spec` name all their fields (`data, binary_data`).
macro_rules! parts {
    ($kind:ty: $($spec:ident),* $(; $status:ident)?) => {
        $crate::registry::strategy::Parts {
            spec_differs: |_new: &$kind, _old: &$kind| false $(|| _new.$spec != _old.$spec)*,
            keep_spec: |_new: &mut $kind, _old: &$kind| {
                // Mostly they are equal, and to compare costs less than to copy.
                $(if _new.$spec != _old.$spec {
                    _new.$spec.clone_from(&_old.$spec);
                })*
            },
            keep_status: $crate::registry::strategy::parts!(@status $kind, $($status)?),
        }
    };
    (@status $kind:ty,) => { None };
    (@status $kind:ty, $status:ident) => {
        Some(|new: &mut $kind, old: Option<&$kind>| match old {
            Some(old) => new.$status.clone_from(&old.$status),
            None => new.$status = Some(Default::default()),
        })
    };
}
pub(crate) use parts;
