//! Kubernetes' API machinery: what every other room speaks.
//!
//! Objects and their codecs ([`object`]), group/version/kind names ([`gvk`]), selectors, quantities,
//! field paths and validation errors, `metav1.Status` errors, patches, schema as data, JSONPath,
//! YAML. No state, no I/O, no clock: time and randomness come in as values ([`Clock`], [`Rng`]).
//!
//! Start reading at [`object`] (what an object is) and [`wire`] (what a request and a response are).

pub mod clock;
pub mod field;
pub mod fields;
pub mod go;
pub mod gvk;
pub mod intorstring;
pub mod json;
pub mod jsonpath;
pub mod labels;
pub mod names;
pub mod object;
pub mod patch;
pub mod quantity;
pub mod random;
pub mod schema;
pub mod status;
pub mod template;
pub mod time;
pub mod wire;
pub mod yaml;

pub use clock::Clock;
pub use gvk::{GroupResource, GroupVersionKind, GroupVersionResource, ObjectKey};
pub use jiff::Timestamp;
pub use object::{Encoded, Kind, Object};
pub use quantity::Quantity;
pub use random::Rng;
pub use status::ApiError;
