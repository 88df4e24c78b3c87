//! Lessons, compiled for the page: Trunk calls it before every build.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use playground_lesson::{Lesson, compile};

const LESSONS: &str = "www/lessons";

/// Writes `index.json` and a JSON file a lesson into a folder.
///
/// # Errors
/// Where a lesson is broken and why, or what cannot be read or written.
pub fn build(folder: &Path) -> Result<()> {
    let lessons = all()?;
    let index = Path::new(LESSONS).join("index.yaml");
    let text = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    let index = match compile::index(&text, &lessons) {
        Ok(index) => index,
        Err(mistake) => bail!("{}:{mistake}", index.display()),
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
    for (id, lesson) in &lessons {
        fs::write(folder.join(format!("{id}.json")), serde_json::to_vec(lesson)?)?;
    }
    Ok(())
}

/// All lessons by their names, in the names' order.
fn all() -> Result<Vec<(String, Lesson)>> {
    let mut lessons = Vec::new();
    for entry in fs::read_dir(LESSONS).context("cannot read www/lessons")? {
        let path = entry?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".md")) else { continue };
        match compile::lesson(&fs::read_to_string(&path)?) {
            Ok(lesson) => lessons.push((id.to_owned(), lesson)),
            Err(mistake) => bail!("{}:{mistake}", path.display()),
        }
    }
    lessons.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(lessons)
}
