//! Which names kinds' objects may have (apimachinery's `api/validation/name.go`). Each rule takes a name
//! and whether it is the prefix of one (`generateName`), and gives the complaints.

use machinery::names::{is_dns1035_label, is_dns1123_label, is_dns1123_subdomain, is_path_segment_name};

/// A prefix may end in a dash: something will follow it.
fn mask_trailing_dash(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => format!("{stem}a"),
        _ => name.into(),
    }
}

fn complete(name: &str, prefix: bool) -> String {
    if prefix { mask_trailing_dash(name) } else { name.into() }
}

/// A DNS subdomain: most kinds.
pub fn subdomain(name: &str, prefix: bool) -> Vec<String> {
    is_dns1123_subdomain(&complete(name, prefix))
}

/// A DNS label: Namespace.
pub fn label(name: &str, prefix: bool) -> Vec<String> {
    is_dns1123_label(&complete(name, prefix))
}

/// A DNS label that begins with a letter: Service.
pub fn label_1035(name: &str, prefix: bool) -> Vec<String> {
    is_dns1035_label(&complete(name, prefix))
}

/// A segment of a URL path: RBAC's kinds.
pub fn path_segment(name: &str, prefix: bool) -> Vec<String> {
    if prefix { Vec::new() } else { is_path_segment_name(name) }
}
