//! The live map: what is where in the cluster, and what passes between its parts.
//!
//! A [`scene`] is what there is, read from the objects; [`layout`] gives everything a place;
//! [`motion`] moves things from their last place to the next; [`flow`] turns trace hops into dots;
//! [`draw`] paints a frame with a [`pen`], pods from [`near`] with more of them; [`engine`] ties them to a canvas and [`view`] is the Yew component.

mod draw;
mod engine;
mod flow;
mod geometry;
mod layout;
mod motion;
mod near;
mod palette;
mod pen;
mod scene;
mod view;

pub use flow::HopFilter;
pub use scene::{PodState, pod_state};
pub use view::MapView;
