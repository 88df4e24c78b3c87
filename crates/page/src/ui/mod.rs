//! The page's frame: what is where on the screen, and the small parts everything uses.

pub mod app;
pub mod area;
pub mod boot;
pub mod clock;
pub mod clusters;
mod contexts;
pub mod dialog;
pub mod edit_file;
pub mod explorer;
pub mod faults;
pub mod icon;
pub mod kinds;
pub mod late;
pub mod menu;
pub mod palette;
pub mod split;
pub mod theme;
pub mod timeline;
