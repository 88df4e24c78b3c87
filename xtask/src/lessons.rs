//! Lessons, compiled for the page: Trunk calls it before every build.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use playground_lesson::{Index, Lesson, compile};

const LESSONS: &str = "www/lessons";
/// The folder of lessons in Simplified Chinese, in sources and page.
const CHINESE: &str = "zh";

/// Writes `index.json` and a JSON file a lesson into a folder, and the same in Chinese below it.
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
    translate(CHINESE, &index, &lessons, folder)
}

/// Writes the same into the folder of a language; what is not translated is not there.
fn translate(language: &str, index: &Index, lessons: &[(String, Lesson)], folder: &Path) -> Result<()> {
    let (from, to) = (Path::new(LESSONS).join(language), folder.join(language));
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut translated = Vec::new();
    for (id, original) in lessons {
        let path = from.join(format!("{id}.md"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        match compile::translation(&text, original) {
            Ok(lesson) => {
                fs::write(to.join(format!("{id}.json")), serde_json::to_vec(&lesson)?)?;
                translated.push((id.clone(), lesson));
            }
            Err(mistake) => bail!("{}:{mistake}", path.display()),
        }
    }
    let path = from.join("index.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    match compile::translated_index(&text, index, &translated) {
        Ok(index) => fs::write(to.join("index.json"), serde_json::to_vec(&index)?)?,
        Err(mistake) => bail!("{}:{mistake}", path.display()),
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
