//! From Markdown to lessons.
//!
//! A lesson begins with lines `title:`, `summary:` and `minutes:` between two lines `---`. Every
//! second-level heading begins a step. Some code fences are special:
//!
//! | fence | holds |
//! | --- | --- |
//! | `run` | command lines to click, one a line |
//! | `fails` | the same, for lines that are meant to fail |
//! | `file NAME` | a file, which then lies on the learner's computer |
//! | `hint` | Markdown that is hidden until asked for |
//! | `solution` | command lines that are hidden until asked for |
//! | `fault` | faults to click: `cut COMPONENT` off from the API server, or `join COMPONENT` again |
//! | `check` | what must become true: [`crate::Check`] |
//!
//! `{pods:app=web}` in a command line stands for the name of a pod with that label.
//!
//! A translation, in a folder with the language's name, holds text alone: its `run`, `fails`, `file`, `solution` and
//! `fault` fences are empty and stand for the original's next one, and its `check` fences have the `text` of each check.
//!
//! `index.yaml` lists courses and their lessons; each lesson stands in it once.

use std::fmt;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};
use serde::Deserialize;

use crate::{Check, Course, Entry, Index, Lesson, Piece, Step};

/// What is wrong with a lesson, for its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The reason.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.reason)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    summary: String,
    /// A translation takes as long as its original.
    #[serde(default)]
    minutes: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CourseText {
    title: String,
    summary: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CourseFile {
    title: String,
    summary: String,
    lessons: Vec<String>,
}

/// Reads `index.yaml`, and takes titles from the lessons, given by their names.
///
/// # Errors
/// What is wrong with the index, lessons that it has not and lessons that are not there included.
pub fn index(text: &str, lessons: &[(String, Lesson)]) -> Result<Index, Mistake> {
    let wrong = |reason: String| Mistake { line: 1, reason };
    let courses: Vec<CourseFile> = serde_yaml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut left: Vec<&(String, Lesson)> = lessons.iter().collect();
    let mut index = Index::default();
    for CourseFile { title, summary, lessons } in courses {
        let mut course = Course { title, summary, lessons: Vec::new() };
        for id in lessons {
            let place = left.iter().position(|(known, _)| *known == id);
            let (_, lesson) = left.remove(place.ok_or_else(|| wrong(format!("no such lesson, or twice: {id}")))?);
            let Lesson { title, summary, minutes, .. } = lesson.clone();
            course.lessons.push(Entry { id, title, summary, minutes });
        }
        index.courses.push(course);
    }
    match left.first() {
        Some((id, _)) => Err(wrong(format!("{id} is in no course"))),
        None => Ok(index),
    }
}

/// Reads and renders a lesson.
///
/// # Errors
/// What is wrong with it.
pub fn lesson(text: &str) -> Result<Lesson, Mistake> {
    read(text, false)
}

fn read(text: &str, translated: bool) -> Result<Lesson, Mistake> {
    let text = text.replace("\r\n", "\n");
    let first = |reason: &str| Mistake { line: 1, reason: reason.into() };
    let rest = text.strip_prefix("---\n").ok_or_else(|| first("a lesson begins with a line ---"))?;
    let (front, body) = rest.split_once("\n---\n").ok_or_else(|| first("the front matter ends with a line ---"))?;
    let FrontMatter { title, summary, minutes } =
        serde_yaml::from_str(front).map_err(|error| first(&format!("front matter: {error}")))?;
    let mut compiler = Compiler {
        body,
        translated,
        first_line: front.lines().count() + 3,
        lesson: Lesson { title, summary, minutes, steps: Vec::new() },
        step: Step::default(),
        events: Vec::new(),
    };
    compiler.run()?;
    Ok(compiler.lesson)
}

/// Reads and renders a lesson's translation: commands, files and checks are those of the original.
///
/// # Errors
/// What is wrong with it, such as a step or a fence that the original has not.
pub fn translation(text: &str, original: &Lesson) -> Result<Lesson, Mistake> {
    let first = |reason: String| Mistake { line: 1, reason };
    let mut lesson = read(text, true)?;
    lesson.minutes = original.minutes;
    if lesson.steps.len() != original.steps.len() {
        return Err(first(format!("it has {} steps, the original {}", lesson.steps.len(), original.steps.len())));
    }
    for (step, of) in lesson.steps.iter_mut().zip(&original.steps) {
        let wrong = |what: &str| first(format!("{}: other {what} than in {}", step.title, of.title));
        let acts = |piece: &&Piece| !matches!(piece, Piece::Html(_) | Piece::Hint(_));
        let hints = |of: &Step| of.pieces.iter().filter(|piece| matches!(piece, Piece::Hint(_))).count();
        if hints(step) != hints(of) {
            return Err(wrong("hints"));
        }
        if step.checks.len() != of.checks.len() {
            return Err(wrong("checks"));
        }
        let mut originals = of.pieces.iter().filter(acts);
        let mut pieces = Vec::with_capacity(step.pieces.len());
        for piece in &step.pieces {
            pieces.push(match piece {
                text @ (Piece::Html(_) | Piece::Hint(_)) => text.clone(),
                act => match originals.next() {
                    Some(original) if std::mem::discriminant(original) == std::mem::discriminant(act) => {
                        original.clone()
                    }
                    _ => return Err(wrong("commands or files")),
                },
            });
        }
        if originals.next().is_some() {
            return Err(wrong("commands or files"));
        }
        step.pieces = pieces;
        for (check, of) in step.checks.iter_mut().zip(&of.checks) {
            *check = of.clone().saying(std::mem::take(&mut check.text));
        }
    }
    Ok(lesson)
}

/// Reads the translation of `index.yaml`: title and summary of each course, in the original's order.
///
/// # Errors
/// What is wrong with it.
pub fn translated_index(text: &str, original: &Index, lessons: &[(String, Lesson)]) -> Result<Index, Mistake> {
    let wrong = |reason: String| Mistake { line: 1, reason };
    let courses: Vec<CourseText> = serde_yaml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if courses.len() != original.courses.len() {
        return Err(wrong(format!("{} courses, the original has {}", courses.len(), original.courses.len())));
    }
    let course = |(CourseText { title, summary }, of): (CourseText, &Course)| {
        let entry = |of: &Entry| {
            let found = lessons.iter().find(|(id, _)| *id == of.id);
            let (title, summary) = match found {
                Some((_, lesson)) => (lesson.title.clone(), lesson.summary.clone()),
                None => (of.title.clone(), of.summary.clone()),
            };
            Entry { title, summary, ..of.clone() }
        };
        Course { title, summary, lessons: of.lessons.iter().map(entry).collect() }
    };
    Ok(Index { courses: courses.into_iter().zip(&original.courses).map(course).collect() })
}

fn options() -> Options {
    Options::ENABLE_TABLES
}

struct Compiler<'a> {
    body: &'a str,
    /// Whether commands and checks are somebody else's.
    translated: bool,
    /// The body's first line in the file.
    first_line: usize,
    lesson: Lesson,
    step: Step,
    /// Text not yet rendered.
    events: Vec<Event<'a>>,
}

impl<'a> Compiler<'a> {
    fn run(&mut self) -> Result<(), Mistake> {
        let mut parser = Parser::new_ext(self.body, options()).into_offset_iter();
        while let Some((event, range)) = parser.next() {
            match event {
                Event::Start(Tag::Heading { level, .. }) if level as usize <= 2 => {
                    self.end_step();
                    for (event, _) in parser.by_ref() {
                        match event {
                            Event::End(TagEnd::Heading(_)) => break,
                            Event::Text(text) | Event::Code(text) => self.step.title.push_str(&text),
                            _ => {}
                        }
                    }
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) if is_special(&info) => {
                    let mut text = String::new();
                    for (event, _) in parser.by_ref() {
                        match event {
                            Event::End(_) => break,
                            Event::Text(part) => text.push_str(&part),
                            _ => {}
                        }
                    }
                    self.fence(&info, text, &range)?;
                }
                other => {
                    let event = ours(other).map_err(|reason| self.mistake(&range, 0, reason))?;
                    self.events.push(event);
                }
            }
        }
        self.end_step();
        Ok(())
    }

    fn fence(&mut self, info: &str, text: String, range: &Range<usize>) -> Result<(), Mistake> {
        let lines = || text.lines().filter(|line| !line.trim().is_empty()).map(Into::into).collect::<Vec<String>>();
        let (word, rest) = info.split_once(' ').unwrap_or((info, ""));
        if self.translated && !matches!(word, "hint" | "check") && !(text.is_empty() && rest.is_empty()) {
            return Err(self.mistake(
                range,
                1,
                "a translation's commands and files are the original's: leave it empty".into(),
            ));
        }
        let piece = match word {
            "check" if self.translated => {
                let texts =
                    lines().into_iter().map(|line| line.strip_prefix("text:").map(|text| text.trim().to_owned()));
                for text in texts {
                    let text = text.ok_or_else(|| self.mistake(range, 1, "a translated check is a text".into()))?;
                    self.step.checks.push(Check::default().saying(text));
                }
                return Ok(());
            }
            "check" => {
                let checks = Check::parse_all(&text);
                let checks = checks.map_err(|(line, reason)| self.mistake(range, line + 1, reason))?;
                self.step.checks.extend(checks);
                return Ok(());
            }
            "run" => Piece::Run(lines()),
            "fails" => Piece::Fails(lines()),
            "solution" => Piece::Solution(lines()),
            "hint" => Piece::Hint(fragment(&text).map_err(|reason| self.mistake(range, 1, reason))?),
            "fault" => {
                let known = |line: &String| matches!(line.split_whitespace().next(), Some("cut" | "join"));
                if let Some(line) = lines().into_iter().find(|line| !known(line)) {
                    return Err(self.mistake(range, 1, format!("no such fault: {line}")));
                }
                Piece::Fault(lines())
            }
            _ => {
                let name = rest.trim();
                if !self.translated && (name.is_empty() || name.contains(['/', ' '])) {
                    return Err(self.mistake(range, 0, "a file needs a plain name".into()));
                }
                Piece::File(name.into(), text)
            }
        };
        self.render();
        self.step.pieces.push(piece);
        Ok(())
    }

    fn mistake(&self, range: &Range<usize>, below: usize, reason: String) -> Mistake {
        let before = self.body.get(..range.start).unwrap_or_default();
        Mistake { line: self.first_line + before.matches('\n').count() + below, reason }
    }

    fn render(&mut self) {
        if !self.events.is_empty() {
            let html = rendered(std::mem::take(&mut self.events));
            self.step.pieces.push(Piece::Html(html));
        }
    }

    fn end_step(&mut self) {
        self.render();
        let step = std::mem::take(&mut self.step);
        if step != Step::default() {
            self.lesson.steps.push(step);
        }
    }
}

fn is_special(info: &str) -> bool {
    let word = info.split(' ').next().unwrap_or_default();
    matches!(word, "run" | "fails" | "file" | "hint" | "solution" | "fault" | "check")
}

fn fragment(text: &str) -> Result<String, String> {
    let events = Parser::new_ext(text, options()).map(ours).collect::<Result<Vec<_>, _>>()?;
    Ok(rendered(events))
}

/// An event as the page's style sheet wants it; an author's markup and links to elsewhere than the
/// secure web are mistakes.
fn ours(event: Event<'_>) -> Result<Event<'_>, String> {
    let html = |text: &'static str| Event::Html(CowStr::Borrowed(text));
    Ok(match event {
        Event::Html(text) | Event::InlineHtml(text) => return Err(format!("lessons have no HTML: {}", text.trim())),
        Event::Start(Tag::Image { .. }) => return Err("lessons have no images".into()),
        Event::Start(Tag::BlockQuote(_)) => html("<aside class=\"note\">"),
        Event::End(TagEnd::BlockQuote(_)) => html("</aside>"),
        Event::Start(Tag::CodeBlock(_)) => html("<pre tabindex=\"0\"><code>"),
        Event::End(TagEnd::CodeBlock) => html("</code></pre>"),
        Event::Start(Tag::Table(_)) => html("<table><tbody>"),
        Event::End(TagEnd::Table) => html("</tbody></table>"),
        Event::Start(Tag::TableHead) => html("<tr class=\"head\">"),
        Event::Start(Tag::TableRow) => html("<tr>"),
        Event::End(TagEnd::TableHead | TagEnd::TableRow) => html("</tr>"),
        Event::Start(Tag::TableCell) => html("<td>"),
        Event::End(TagEnd::TableCell) => html("</td>"),
        Event::Start(Tag::Link { dest_url, .. }) => {
            if !dest_url.starts_with("https://") || dest_url.contains(['"', '<', '>', '&']) {
                return Err(format!("not a link to the secure web: {dest_url}"));
            }
            Event::Html(format!("<a href=\"{dest_url}\" target=\"_blank\" rel=\"noreferrer\">").into())
        }
        other => other,
    })
}

fn rendered(events: Vec<Event<'_>>) -> String {
    let mut out = String::new();
    html::push_html(&mut out, events.into_iter());
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LESSON: &str = "---\ntitle: Hello\nsummary: A first look\nminutes: 5\n---\nIntro.\n\n## Step *one*\n\nRead `this`, **then** a & b:\n\n```run\nkubectl get pods\n\nkubectl get nodes\n```\n\n- a\n- b\n\n```hint\nTry *this*.\n```\n\n```file web.yaml\nkind: Pod\n```\n\n```check\ntext: There is a pod\nresource: pods\n```\n";

    #[test]
    fn a_lesson_has_steps_commands_files_and_checks() {
        let lesson = lesson(LESSON).unwrap();
        assert_eq!((lesson.title.as_str(), lesson.minutes, lesson.steps.len()), ("Hello", 5, 2));
        let step = &lesson.steps[1];
        assert_eq!((step.title.as_str(), step.checks.len()), ("Step one", 1));
        let expected = [
            Piece::Html("<p>Read <code>this</code>, <strong>then</strong> a &amp; b:</p>".into()),
            Piece::Run(vec!["kubectl get pods".into(), "kubectl get nodes".into()]),
            Piece::Html("<ul>\n<li>a</li>\n<li>b</li>\n</ul>".into()),
            Piece::Hint("<p>Try <em>this</em>.</p>".into()),
            Piece::File("web.yaml".into(), "kind: Pod\n".into()),
        ];
        assert_eq!(step.pieces, expected);
        assert_eq!(lesson.files().collect::<Vec<_>>(), [("web.yaml", "kind: Pod\n")]);
        let json = serde_json::to_string(&lesson).unwrap();
        assert_eq!(serde_json::from_str::<Lesson>(&json).unwrap(), lesson);
    }

    #[test]
    fn a_translation_has_the_originals_commands_and_its_own_words() {
        let original = lesson(LESSON).unwrap();
        let text = "---\ntitle: 你好\nsummary: 初见\n---\n介绍。\n\n## 第一步\n\n```run\n```\n\n再看：\n\n```hint\n试试。\n```\n\n```file\n```\n\n```check\ntext: 有一个 Pod\n```\n";
        let translated = translation(text, &original).unwrap();
        assert_eq!((translated.title.as_str(), translated.minutes), ("你好", 5));
        let step = &translated.steps[1];
        assert_eq!(step.pieces[0], Piece::Run(vec!["kubectl get pods".into(), "kubectl get nodes".into()]));
        assert_eq!(step.pieces[3], Piece::File("web.yaml".into(), "kind: Pod\n".into()));
        assert_eq!(step.checks[0].text, "有一个 Pod");
        assert_eq!(step.checks[0], original.steps[1].checks[0].clone().saying("有一个 Pod".into()));
        for (from, to, reason) in [
            ("```run\n```", "```run\nkubectl get pods\n```", "leave it empty"),
            ("```run\n```", "```solution\n```", "other commands"),
            ("```run\n```", "", "other commands"),
            ("text: 有一个 Pod\n", "", "other checks"),
            ("## 第一步", "", "1 steps, the original 2"),
        ] {
            let mistake = translation(&text.replace(from, to), &original).unwrap_err();
            assert!(mistake.reason.contains(reason), "{mistake}");
        }
    }

    #[test]
    fn mistakes_have_a_line_and_a_reason() {
        let front = "---\ntitle: x\nsummary: y\nminutes: 1\n---\n";
        for (text, line, reason) in [
            ("", 1, "begins with a line ---"),
            ("---\ntitle: x\n", 1, "ends with a line ---"),
            ("---\ntitle: x\n---\n", 1, "summary"),
            (&format!("{front}\n```check\ntext: t\nresource: pods\nleast: many\n```\n"), 10, "least: many"),
            (&format!("{front}\n```check\nresource: pods\n```\n"), 8, "needs a text"),
            (&format!("{front}\n```check\ntext: t\nresource: secrets\n```\n"), 8, "do not see secrets"),
            (&format!("{front}\n```check\ntext: t\nis: 3\n```\n"), 9, "which field"),
            (&format!("{front}one\n\na <b>c</b>\n"), 8, "no HTML"),
            (&format!("{front}[x](http://example.com)\n"), 6, "secure web"),
            (&format!("{front}```file a/b\n```\n"), 6, "plain name"),
            (&format!("{front}```fault\nburn node\n```\n"), 7, "no such fault"),
        ] {
            let mistake = lesson(text).unwrap_err();
            assert!(mistake.line == line && mistake.reason.contains(reason), "{text}\n{mistake}");
        }
    }

    #[test]
    fn the_index_has_each_lesson_once() {
        let lessons = [("a".to_owned(), lesson(LESSON).unwrap())];
        let course = "- title: One\n  summary: s\n  lessons: [";
        let found = index(&format!("{course}a]\n"), &lessons).unwrap();
        assert_eq!(found.courses[0].lessons[0].title, "Hello");
        for (ids, reason) in [("", "in no course"), ("a, a", "twice"), ("a, b", "no such lesson")] {
            let mistake = index(&format!("{course}{ids}]\n"), &lessons).unwrap_err();
            assert!(mistake.reason.contains(reason), "{mistake}");
        }
    }
}
