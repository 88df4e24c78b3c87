//! What an object is: a typed Rust value, its JSON bytes, or both ([`Encoded`]).

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{json, raw};

/// A built-in kind: a `k8s-openapi` type with object metadata. Implemented in the crate's `kinds`, once.
pub trait Kind: Resource + Metadata<Ty = ObjectMeta> + Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// Reads an object of the kind.
    ///
    /// # Errors
    /// When a field has the wrong type.
    fn from_value(value: Value) -> Result<Self, serde_json::Error>;
    /// The object as compact JSON.
    fn encode(&self) -> Bytes;
    /// A copy whose type is forgotten.
    fn boxed(&self) -> Box<dyn Object>;
}

/// Reads a part of an object. Everything that is read from a JSON tree is read through a borrowed one:
/// each type has one decoder then, and the smaller of the two that serde_json has.
///
/// # Errors
/// When a field has the wrong type.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    T::deserialize(&value)
}

/// An object, or a part of one, as a JSON tree: by way of its bytes, so that each type has one encoder.
pub fn to_value<T: Serialize>(part: &T) -> Value {
    tree(&json::to_vec(part).unwrap_or_default())
}

fn tree(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// An object whose kind is known only at run time: every [`Kind`] is one, and so are custom resources.
pub trait Object: Any + Send + Sync {
    /// `apiVersion`, such as `apps/v1`.
    fn api_version(&self) -> &str;
    /// `kind`, such as `Deployment`.
    fn kind(&self) -> &str;
    /// Object metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// Object metadata, to change.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
    /// The object as a JSON tree.
    fn to_value(&self) -> Value;
    /// The object as compact JSON.
    fn to_bytes(&self) -> Bytes;
    /// A copy behind a pointer.
    fn clone_object(&self) -> Box<dyn Object>;
    /// The object itself if nobody else has it, or a copy.
    fn unshare(self: Arc<Self>) -> Box<dyn Object>;
    /// For [`Encoded::get`], which gives the typed form back.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// For downcasts by reference.
    fn as_any(&self) -> &dyn Any;
    /// For downcasts by mutable reference.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Kind> Object for T {
    fn api_version(&self) -> &str {
        T::API_VERSION
    }
    fn kind(&self) -> &str {
        T::KIND
    }
    fn metadata(&self) -> &ObjectMeta {
        Metadata::metadata(self)
    }
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        Metadata::metadata_mut(self)
    }
    fn to_value(&self) -> Value {
        tree(&self.encode())
    }
    fn to_bytes(&self) -> Bytes {
        self.encode()
    }
    fn clone_object(&self) -> Box<dyn Object> {
        self.boxed()
    }
    fn unshare(self: Arc<Self>) -> Box<dyn Object> {
        match Arc::try_unwrap(self) {
            Ok(own) => Box::new(own),
            Err(shared) => shared.boxed(),
        }
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// One revision of an object on its way through the cluster: JSON bytes and the typed form, each made
/// from the other at most once, and shared by all who read it.
#[derive(Clone)]
pub struct Encoded(Arc<Forms>);

#[derive(Default)]
struct Forms {
    bytes: OnceLock<Bytes>,
    object: OnceLock<Arc<dyn Object>>,
    stored: Option<Stored>,
    /// The typed form as long as somebody else has it.
    elsewhere: Option<Weak<dyn Object>>,
}

/// An object as the store has it: without the revision, which is known only once it is stored.
#[derive(Clone)]
struct Stored {
    text: StoredText,
    resource_version: i64,
}

/// A stored object's JSON text. Its `metadata.managedFields` may be kept apart: they are the larger part of an
/// object, and who works with typed objects does not look at them.
#[derive(Clone)]
pub struct StoredText {
    bytes: Bytes,
    managed: Option<Arc<dyn ManagedFields>>,
}

/// Managed fields that are kept apart from their object's text.
pub trait ManagedFields: Send + Sync {
    /// The text of the array, made when first asked for; empty for none.
    fn text(&self) -> Bytes;
}

impl StoredText {
    /// An object's text, and its managed fields where these are not in it.
    pub fn new(bytes: Bytes, managed: Option<Arc<dyn ManagedFields>>) -> Self {
        Self { bytes, managed }
    }

    /// The whole text.
    fn whole(&self) -> Cow<'_, [u8]> {
        match self.managed.as_ref().map(|managed| managed.text()).filter(|managed| !managed.is_empty()) {
            Some(managed) => raw::with_managed_fields(&self.bytes, &managed).into(),
            None => Cow::Borrowed(&self.bytes),
        }
    }

    /// How long the whole text is, or a little more.
    fn len_at_most(&self) -> usize {
        const NAME: &str = ",\"managedFields\":";
        self.bytes.len() + self.managed.as_ref().map_or(0, |managed| NAME.len() + managed.text().len())
    }

    /// The text without managed fields.
    fn lean(&self) -> Cow<'_, [u8]> {
        match self.managed {
            Some(_) => Cow::Borrowed(&self.bytes),
            None => raw::without_managed_fields(&self.bytes).into(),
        }
    }
}

impl Encoded {
    /// From JSON bytes, decoded when somebody asks.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(Arc::new(Forms { bytes: OnceLock::from(bytes), ..Forms::default() }))
    }

    /// From a typed object, encoded when somebody asks.
    pub fn from_object(object: Arc<dyn Object>) -> Self {
        Self(Arc::new(Forms { object: OnceLock::from(object), ..Forms::default() }))
    }

    /// From both forms, where both are at hand. The typed one may lack `metadata.managedFields`.
    pub fn from_both(bytes: Bytes, object: Arc<dyn Object>) -> Self {
        Self(Arc::new(Forms { bytes: OnceLock::from(bytes), object: OnceLock::from(object), ..Forms::default() }))
    }

    /// From the text in the store, which lacks `metadata.resourceVersion`, and the typed form, which
    /// has it but lacks `metadata.managedFields`, if that is at hand.
    pub fn from_stored(text: StoredText, resource_version: i64, object: Option<Arc<dyn Object>>) -> Self {
        let object = object.map(OnceLock::from).unwrap_or_default();
        let stored = Some(Stored { text, resource_version });
        Self(Arc::new(Forms { object, stored, ..Forms::default() }))
    }

    /// The same, keeping alive nothing but the bytes in the store: the typed form is found as long as
    /// somebody else has it. `None` if nobody has, or the object is not from the store.
    pub fn faded(&self) -> Option<Self> {
        let stored = self.0.stored.clone()?;
        let object = self.0.object.get().filter(|object| Arc::strong_count(object) > 1)?;
        let elsewhere = Some(Arc::downgrade(object));
        Some(Self(Arc::new(Forms { stored: Some(stored), elsewhere, ..Forms::default() })))
    }

    /// The JSON bytes.
    pub fn bytes(&self) -> &Bytes {
        self.0.bytes.get_or_init(|| match (&self.0.stored, self.0.object.get()) {
            (Some(stored), _) => stored.bytes(),
            (None, Some(object)) => object.to_bytes(),
            (None, None) => Bytes::new(),
        })
    }

    /// Appends the JSON bytes, for one reader: unless they are at hand, they are not kept for others.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match (&self.0.stored, self.0.bytes.get()) {
            (Some(stored), None) => stored.write_to(out),
            _ => out.extend_from_slice(self.bytes()),
        }
    }

    /// The JSON bytes, as [`Encoded::write_to`] gives them.
    pub fn to_bytes(&self) -> Bytes {
        match (&self.0.stored, self.0.bytes.get()) {
            (Some(stored), None) => stored.bytes(),
            _ => self.bytes().clone(),
        }
    }

    /// How many JSON bytes there are, or a few more.
    pub fn len_at_most(&self) -> usize {
        match (&self.0.stored, self.0.bytes.get()) {
            (Some(stored), None) => stored.text.len_at_most() + RESOURCE_VERSION_LEN,
            _ => self.bytes().len(),
        }
    }

    /// The text of the object's `metadata`.
    pub fn metadata(&self) -> Vec<u8> {
        let Some(stored) = &self.0.stored else {
            return raw::member(self.bytes(), "metadata").unwrap_or(b"{}").to_vec();
        };
        let mut out = Vec::new();
        let text = stored.text.whole();
        push_metadata(&mut out, raw::member(&text, "metadata").unwrap_or(b"{}"), stored.resource_version);
        out
    }

    /// The object's kind; empty if it has none.
    pub fn kind(&self) -> String {
        match (&self.0.stored, self.0.object.get()) {
            (_, Some(object)) => object.kind().to_owned(),
            (Some(stored), _) => raw::member(&stored.text.bytes, "kind").map(raw::text).unwrap_or_default(),
            _ => raw::member(self.bytes(), "kind").map(raw::text).unwrap_or_default(),
        }
    }

    /// The object's resourceVersion, found with as little work as there is to it.
    pub fn resource_version(&self) -> Option<String> {
        match (&self.0.stored, self.0.object.get()) {
            (Some(stored), _) => Some(stored.resource_version.to_string()),
            (None, Some(object)) => object.metadata().resource_version.clone(),
            (None, None) => {
                let metadata = raw::member(self.bytes(), "metadata")?;
                raw::member(metadata, "resourceVersion").map(raw::text).filter(|version| !version.is_empty())
            }
        }
    }

    /// The typed form, if some reader has decoded it already or it was made from one.
    pub fn object(&self) -> Option<&Arc<dyn Object>> {
        if self.0.object.get().is_none()
            && let Some(object) = self.0.elsewhere.as_ref().and_then(Weak::upgrade)
        {
            let _ = self.0.object.set(object);
        }
        self.0.object.get()
    }

    /// The typed form, to be changed: a copy if somebody else has it, too. `None` if it was not made yet.
    pub fn into_object(self) -> Option<Box<dyn Object>> {
        let object = self.object()?.clone();
        drop(self);
        Some(object.unshare())
    }

    /// The object as kind `K`, decoded at most once for all readers.
    ///
    /// # Errors
    /// When the bytes are not a `K`.
    pub fn get<K: Kind>(&self) -> Result<Arc<K>, serde_json::Error> {
        if let Some(object) = self.object()
            && let Ok(typed) = Arc::clone(object).into_any().downcast::<K>()
        {
            return Ok(typed);
        }
        let typed = Arc::new(K::from_value(self.lean()?)?);
        let _ = self.0.object.set(typed.clone());
        Ok(typed)
    }

    /// The typed form, made by `decode` from the JSON tree unless some reader was faster.
    ///
    /// # Errors
    /// When the bytes are not JSON, and what `decode` says.
    pub fn object_or_decode(
        &self,
        decode: impl FnOnce(Value) -> Result<Box<dyn Object>, serde_json::Error>,
    ) -> Result<Arc<dyn Object>, serde_json::Error> {
        if let Some(object) = self.object() {
            return Ok(object.clone());
        }
        let object = Arc::<dyn Object>::from(decode(self.lean()?)?);
        Ok(self.0.object.get_or_init(|| object).clone())
    }

    /// The whole object as a JSON tree.
    ///
    /// # Errors
    /// When the bytes are not JSON.
    pub fn value(&self) -> Result<Value, serde_json::Error> {
        match (&self.0.stored, self.0.bytes.get(), self.0.object.get()) {
            (Some(stored), ..) => stored.tree(&stored.text.whole()),
            (None, None, Some(object)) => Ok(object.to_value()),
            _ => serde_json::from_slice(self.bytes()),
        }
    }

    /// What the typed form is made from.
    fn lean(&self) -> Result<Value, serde_json::Error> {
        match &self.0.stored {
            Some(stored) => stored.tree(&stored.text.lean()),
            None => serde_json::from_slice(self.bytes()),
        }
    }
}

impl Stored {
    fn write_to(&self, out: &mut Vec<u8>) {
        push_with_resource_version(out, &self.text.whole(), self.resource_version);
    }

    fn bytes(&self) -> Bytes {
        with_resource_version(&self.text.whole(), self.resource_version)
    }

    fn tree(&self, bytes: &[u8]) -> Result<Value, serde_json::Error> {
        let mut value: Value = serde_json::from_slice(bytes)?;
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".into(), self.resource_version.to_string().into());
        }
        Ok(value)
    }
}

/// What `write` writes, in as much memory as it is long: encoded objects are kept.
pub(crate) fn encoded(write: &dyn Fn(&mut Vec<u8>) -> Result<(), serde_json::Error>) -> Bytes {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        let written = write(scratch);
        debug_assert!(written.is_ok(), "{written:?}");
        put_kind_first(scratch);
        Bytes::copy_from_slice(scratch)
    })
}

/// An object's JSON bytes with `kind` before `apiVersion`, the order in which Kubernetes writes them;
/// bytes that begin with others stay as they are.
pub fn kind_first(mut object: Vec<u8>) -> Bytes {
    put_kind_first(&mut object);
    object.into_boxed_slice().into()
}

fn put_kind_first(object: &mut [u8]) {
    let member = |object: &[u8], at: usize, name: &str| {
        let text = object.get(at..)?.strip_prefix(name.as_bytes())?;
        Some(at + name.len() + text.iter().position(|byte| *byte == b'"')? + 1)
    };
    let ends = member(object, 1, "\"apiVersion\":\"").and_then(|version| {
        let kind = member(object, version + 1, "\"kind\":\"")?;
        (object.get(version) == Some(&b',') && object.get(kind) == Some(&b',')).then_some((version, kind))
    });
    if let Some((version, kind)) = ends {
        object[1..=kind].rotate_left(version);
    }
}

/// What `"resourceVersion":"…",` takes at most.
const RESOURCE_VERSION_LEN: usize = 42;

/// Writes `metadata.resourceVersion` into an object's JSON bytes, which have a `metadata` without it.
pub fn with_resource_version(object: &[u8], resource_version: i64) -> Bytes {
    let mut bytes = Vec::with_capacity(object.len() + RESOURCE_VERSION_LEN);
    push_with_resource_version(&mut bytes, object, resource_version);
    bytes.into()
}

fn push_with_resource_version(out: &mut Vec<u8>, object: &[u8], resource_version: i64) {
    let Some(metadata) = raw::member(object, "metadata") else { return out.extend_from_slice(object) };
    let start = raw::offset(object, metadata);
    out.extend_from_slice(object.get(..start).unwrap_or_default());
    push_metadata(out, metadata, resource_version);
    out.extend_from_slice(object.get(start + metadata.len()..).unwrap_or_default());
}

/// Appends the text of a `metadata` with its resourceVersion, which it lacks.
fn push_metadata(out: &mut Vec<u8>, metadata: &[u8], resource_version: i64) {
    let fields = metadata.get(1..).unwrap_or_default();
    out.extend_from_slice(format!("{{\"resourceVersion\":\"{resource_version}\"").as_bytes());
    if fields.first() != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(fields);
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_comes_first() {
        for (object, expected) in [
            (r#"{"apiVersion":"v1","kind":"A","metadata":{}}"#, r#"{"kind":"A","apiVersion":"v1","metadata":{}}"#),
            (r#"{"apiVersion":"v1","kind":"A"}"#, r#"{"apiVersion":"v1","kind":"A"}"#),
            (r#"{"apiVersion":"v1","items":[]}"#, r#"{"apiVersion":"v1","items":[]}"#),
            (r#"{"apiVersion":"v1"#, r#"{"apiVersion":"v1"#),
            ("", ""),
        ] {
            assert_eq!(kind_first(object.into()), expected);
        }
    }

    #[test]
    fn the_resource_version_goes_into_the_top_levels_metadata() {
        let cases = [
            (r#"{"kind":"A","metadata":{}}"#, r#"{"kind":"A","metadata":{"resourceVersion":"7"}}"#),
            (
                r#"{"a":{"metadata":{}},"b":"\\\"metadata\":{","metadata":{"name":"x"}}"#,
                r#"{"a":{"metadata":{}},"b":"\\\"metadata\":{","metadata":{"resourceVersion":"7","name":"x"}}"#,
            ),
            (r#"{"kind":"A"}"#, r#"{"kind":"A"}"#),
            (r#"{"kind":"A"#, r#"{"kind":"A"#),
        ];
        for (stored, expected) in cases {
            assert_eq!(with_resource_version(stored.as_bytes(), 7), expected);
        }
    }
}
