//! Puts the help pages into one text, and compresses it: each after a line `\u{1}PATH`, sorted by path.

use std::fs;

const PAGES: &str = "src/pages";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed={PAGES}");
    let mut pages = Vec::new();
    for file in fs::read_dir(PAGES)? {
        let path = file?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('_', " ");
        pages.push((if name == "kubectl" { String::new() } else { name }, fs::read_to_string(path)?));
    }
    pages.sort();
    let text: String = pages.into_iter().map(|(path, page)| format!("\u{1}{path}\n{page}")).collect();
    pack::build::text("pages", &text)
}
