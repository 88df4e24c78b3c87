//! The page's frame: what is where on the screen, and the small parts everything uses.

pub mod app;
pub mod boot;
pub mod clock;
pub mod explorer;
pub mod icon;
pub mod kinds;
pub mod split;
pub mod theme;
pub mod timeline;
