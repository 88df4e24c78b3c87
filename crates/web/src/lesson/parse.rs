//! From Markdown to a lesson.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use serde::Deserialize;

use super::check::Check;

/// A lesson.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lesson {
    /// Title.
    pub title: String,
    /// What it is about, in a sentence.
    pub summary: String,
    /// How long it takes.
    pub minutes: u32,
    /// Its steps; what stands before the first heading is a step without title.
    pub steps: Vec<Step>,
}

/// A step of a lesson.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Heading.
    pub title: String,
    /// What is read and clicked.
    pub blocks: Vec<Block>,
    /// What must become true.
    pub checks: Vec<Check>,
}

/// A piece of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Paragraph(Vec<Inline>),
    /// A heading below the step's.
    Heading(Vec<Inline>),
    /// A list, ordered or not, of pieces.
    List(bool, Vec<Vec<Block>>),
    /// A remark set apart.
    Quote(Vec<Block>),
    /// Text as it is.
    Code(String),
    /// Command lines to click.
    Run(Vec<String>),
}

/// A piece of a paragraph.
#[derive(Clone, Debug, PartialEq)]
pub enum Inline {
    /// Plain text.
    Text(String),
    /// Code.
    Code(String),
    /// Strong.
    Strong(Vec<Inline>),
    /// Emphasized.
    Emphasis(Vec<Inline>),
    /// A link and its address.
    Link(String, Vec<Inline>),
}

/// What stands before a lesson's text, as YAML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    minutes: u32,
}

impl Lesson {
    /// Reads a lesson.
    ///
    /// # Errors
    /// What is wrong with it, for its author.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.replace("\r\n", "\n");
        let rest = text.strip_prefix("---\n").ok_or("a lesson begins with a line ---")?;
        let (front, body) = rest.split_once("\n---\n").ok_or("the front matter ends with a line ---")?;
        let front: FrontMatter = serde_yaml::from_str(front).map_err(|error| format!("front matter: {error}"))?;
        let mut lesson = Self { title: front.title, summary: front.summary, minutes: front.minutes, steps: Vec::new() };
        let mut events = Parser::new(body);
        let mut step = Step::default();
        while let Some(event) = events.next() {
            match event {
                Event::Start(Tag::Heading { level, .. }) if level as usize <= 2 => {
                    if step != Step::default() {
                        lesson.steps.push(std::mem::take(&mut step));
                    }
                    step.title = plain(&inlines(&mut events));
                }
                Event::Start(tag) => match block(tag, &mut events)? {
                    Piece::Block(block) => step.blocks.push(block),
                    Piece::Checks(checks) => step.checks.extend(checks),
                },
                _ => {}
            }
        }
        if step != Step::default() {
            lesson.steps.push(step);
        }
        Ok(lesson)
    }
}

enum Piece {
    Block(Block),
    Checks(Vec<Check>),
}

/// The block a tag begins, up to its end.
fn block(tag: Tag<'_>, events: &mut Parser<'_>) -> Result<Piece, String> {
    Ok(Piece::Block(match tag {
        Tag::Heading { .. } => Block::Heading(inlines(events)),
        Tag::BlockQuote(_) => Block::Quote(blocks(events)?),
        Tag::List(first) => {
            let mut items = Vec::new();
            while let Some(Event::Start(Tag::Item)) = events.next() {
                items.push(blocks(events)?);
            }
            Block::List(first.is_some(), items)
        }
        Tag::CodeBlock(kind) => {
            let text = plain(&inlines(events));
            match kind {
                CodeBlockKind::Fenced(language) if &*language == "check" => {
                    return Ok(Piece::Checks(Check::parse_all(&text)?));
                }
                CodeBlockKind::Fenced(language) if &*language == "run" => {
                    Block::Run(text.lines().filter(|line| !line.trim().is_empty()).map(Into::into).collect())
                }
                _ => Block::Code(text.trim_end().into()),
            }
        }
        _ => Block::Paragraph(inlines(events)),
    }))
}

/// Blocks up to the end of what holds them. Text that stands there bare, as in tight lists, is a
/// paragraph.
fn blocks(events: &mut Parser<'_>) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut bare = Vec::new();
    while let Some(event) = events.next() {
        match event {
            Event::End(_) => break,
            Event::Start(tag @ (Tag::Strong | Tag::Emphasis | Tag::Link { .. })) => bare.push(inline(tag, events)),
            Event::Start(tag) => {
                if !bare.is_empty() {
                    blocks.push(Block::Paragraph(std::mem::take(&mut bare)));
                }
                if let Piece::Block(block) = block(tag, events)? {
                    blocks.push(block);
                }
            }
            other => bare.extend(leaf(other)),
        }
    }
    if !bare.is_empty() {
        blocks.push(Block::Paragraph(bare));
    }
    Ok(blocks)
}

/// Text up to the end of what holds it.
fn inlines(events: &mut Parser<'_>) -> Vec<Inline> {
    let mut found = Vec::new();
    while let Some(event) = events.next() {
        match event {
            Event::End(TagEnd::HtmlBlock) => {}
            Event::End(_) => break,
            Event::Start(tag) => found.push(inline(tag, events)),
            other => found.extend(leaf(other)),
        }
    }
    found
}

fn inline(tag: Tag<'_>, events: &mut Parser<'_>) -> Inline {
    match tag {
        Tag::Emphasis => Inline::Emphasis(inlines(events)),
        Tag::Link { dest_url, .. } => Inline::Link(dest_url.to_string(), inlines(events)),
        _ => Inline::Strong(inlines(events)),
    }
}

/// Text without parts. HTML is shown as text: a lesson brings no markup of its own.
fn leaf(event: Event<'_>) -> Option<Inline> {
    match event {
        Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => Some(Inline::Text(text.to_string())),
        Event::Code(code) => Some(Inline::Code(code.to_string())),
        Event::SoftBreak => Some(Inline::Text(" ".into())),
        Event::HardBreak => Some(Inline::Text("\n".into())),
        _ => None,
    }
}

fn plain(inlines: &[Inline]) -> String {
    let text = inlines.iter().map(|inline| match inline {
        Inline::Text(text) | Inline::Code(text) => text.clone(),
        Inline::Strong(parts) | Inline::Emphasis(parts) | Inline::Link(_, parts) => plain(parts),
    });
    text.collect()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    const LESSON: &str = "---\ntitle: Hello\nsummary: A first look\nminutes: 5\n---\nIntro.\n\n## Step *one*\n\nRead `this`, **then**:\n\n```run\nkubectl get pods\n\nkubectl get nodes\n```\n\n- a\n- b <b>c</b>\n\n```check\ntext: There is a pod\nresource: pods\n```\n";

    #[wasm_bindgen_test]
    fn a_lesson_has_steps_commands_and_checks() {
        let lesson = Lesson::parse(LESSON).unwrap();
        assert_eq!((lesson.title.as_str(), lesson.minutes, lesson.steps.len()), ("Hello", 5, 2));
        let step = &lesson.steps[1];
        assert_eq!((step.title.as_str(), step.checks.len()), ("Step one", 1));
        assert_eq!(step.blocks[1], Block::Run(vec!["kubectl get pods".into(), "kubectl get nodes".into()]));
        let Block::List(false, items) = &step.blocks[2] else { panic!("{:?}", step.blocks) };
        let Block::Paragraph(words) = &items[1][0] else { panic!("{items:?}") };
        assert_eq!(plain(words), "b <b>c</b>");
    }

    #[wasm_bindgen_test]
    fn a_broken_lesson_says_what_is_wrong() {
        for text in ["", "---\ntitle: x", "---\nx\n---\n", "---\nsummary: x\n---\n", "---\ntitle: x\nminutes: x\n---\n"]
        {
            assert!(Lesson::parse(text).is_err(), "{text}");
        }
    }

    #[wasm_bindgen_test]
    fn the_lessons_of_the_house_are_whole() {
        let lesson = Lesson::parse(include_str!("../../../../www/lessons/hello.md")).unwrap();
        assert!(lesson.steps.iter().skip(1).all(|step| !step.title.is_empty()));
        assert!(lesson.steps.iter().flat_map(|step| &step.checks).count() >= 6);
    }
}
