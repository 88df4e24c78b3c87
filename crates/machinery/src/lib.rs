//! Kubernetes' API machinery: what every other room speaks.
//!
//! - Objects and their codecs ([`object`]), names of kinds and resources ([`gvk`]), requests and
//!   responses ([`wire`]).
//! - What users write: [`yaml`], [`json`], selectors ([`labels`], [`fields`]), [`quantity`],
//!   [`intorstring`], [`time`], templates ([`jsonpath`], [`template`]).
//! - What they may write: [`schema`] as data, [`names`], [`field`] errors, [`status`] errors, all in
//!   upstream's words, for which [`go`] prints as Go does.
//! - How writes combine: [`patch`]. Stored text in place: [`raw`].
//!
//! No state, no I/O, no clock: time and randomness come in as values ([`Clock`], [`Rng`]).
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
mod kinds;
pub mod labels;
pub mod metrics;
pub mod names;
pub mod object;
pub mod patch;
pub mod quantity;
pub mod random;
pub mod raw;
pub mod schedule;
pub mod schema;
pub mod sort;
pub mod split;
pub mod status;
pub mod template;
pub mod time;
pub mod wire;
pub mod yaml;
pub mod zone;

/// Of the code that [`split!`] makes.
#[cfg(feature = "split")]
#[doc(hidden)]
pub use wasm_split_helpers;

pub use clock::Clock;
pub use gvk::{GroupResource, GroupVersionKind, GroupVersionResource, ObjectKey};
pub use jiff::Timestamp;
pub use metrics::Metrics;
pub use object::{Encoded, Kind, Object};
pub use quantity::Quantity;
pub use random::Rng;
pub use status::ApiError;
