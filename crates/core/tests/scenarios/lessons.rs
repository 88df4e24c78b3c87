//! Every lesson, solved by its own commands and its own solution, in virtual time; its checks are
//! seen to fail before.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use machinery::wire::{Body, Channels, Frame, Request, Response};
use playground_core::control::{Hop, HopKind};
use playground_lesson::{Lesson, Piece, RESOURCES, View, compile, filled, is_like};
use serde_json::Value;

use crate::lab::Lab;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../www/lessons");
/// How long a person reads before clicking.
const READING: Duration = Duration::from_secs(12);
/// How long a check may take to come true.
const PATIENCE_SECONDS: u32 = 900;

/// What a learner's page knows.
struct Student {
    lab: Lab,
    live: BTreeMap<&'static str, BTreeMap<String, Value>>,
    gone: Vec<(&'static str, Value)>,
    hops: Vec<Hop>,
    /// The revision at which it looked last.
    seen: i64,
    trace: futures::stream::BoxStream<'static, bytes::Bytes>,
    terminal: Channels,
}

impl View for Student {
    fn objects(&self, resource: &str) -> Vec<&Value> {
        self.live.get(resource).into_iter().flat_map(BTreeMap::values).collect()
    }

    fn gone(&self, resource: &str) -> Vec<&Value> {
        self.gone.iter().filter(|(name, _)| *name == resource).map(|(_, object)| object).collect()
    }

    fn reached(&self, part: &str) -> bool {
        let is = |found: &str| is_like(found, part);
        self.hops
            .iter()
            .any(|hop| hop.kind == HopKind::Network && hop.error.is_none() && (is(&hop.to) || is(&hop.object)))
    }

    fn asked(&self, verb: &str, object: &str) -> bool {
        let asked = |hop: &Hop| hop.from == "kubectl" && hop.verb == verb && is_like(&hop.object, object);
        self.hops.iter().any(|hop| hop.kind == HopKind::Request && asked(hop))
    }
}

impl Student {
    fn new() -> Self {
        let lab = Lab::new(3);
        let Body::Stream(trace) = get(&lab, "/playground/v1/trace").into_body() else {
            panic!("the trace is a stream")
        };
        let terminal = lab.cluster.learner().open_terminal();
        let mut student = Self {
            lab,
            live: BTreeMap::new(),
            gone: Vec::new(),
            hops: Vec::new(),
            seen: 0,
            trace: trace.boxed(),
            terminal,
        };
        // The shell starts with the first line.
        student.type_line("true");
        student
    }

    /// Looks at the cluster as the page's watches would.
    fn look(&mut self) {
        let revision = self.lab.cluster.api().store().revision();
        while let Some(Some(line)) = self.trace.next().now_or_never() {
            self.hops.push(serde_json::from_slice(&line).expect("a hop"));
        }
        if std::mem::replace(&mut self.seen, revision) == revision {
            return;
        }
        for (resource, path) in RESOURCES {
            let body = get(&self.lab, path).into_body().collect().now_or_never().expect("a list is there at once");
            let list: Value = serde_json::from_slice(&body).expect("JSON");
            let items = list["items"].as_array().cloned().unwrap_or_default();
            let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            let now: BTreeMap<String, Value> = items.into_iter().map(|object| (uid(&object), object)).collect();
            let before = self.live.insert(resource, now).unwrap_or_default();
            let left = before.into_iter().filter(|(uid, _)| !self.live[resource].contains_key(uid));
            self.gone.extend(left.map(|(_, object)| (resource, object)));
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.lab.cluster.now() + duration;
        while self.lab.cluster.now() < end {
            self.lab.pass(Duration::from_secs(1));
            self.look();
        }
    }

    /// What the terminal shows until it asks for the next line.
    fn answer(&mut self) -> String {
        let mut shown = String::new();
        for _ in 0..600 {
            self.pass(Duration::from_secs(1));
            while let Some(Some(Frame { data: Some(data), .. })) = self.terminal.receiver.next().now_or_never() {
                shown.push_str(&String::from_utf8_lossy(&data));
            }
            // The prompt of an empty line, and the cursor behind it.
            if shown.replace('\r', "").contains("~ $ \x1b[4C") {
                return shown;
            }
        }
        panic!("the line does not end:\n{shown}");
    }

    /// Types a line into the terminal and gives its exit code and what was shown.
    fn type_line(&mut self, line: &str) -> (bool, String) {
        let mut type_text = |text: String| {
            let frame = Frame { channel: 0, data: Some(text.into()) };
            self.terminal.sender.try_send(frame).expect("the terminal takes a line");
        };
        type_text(format!("{line}\n"));
        let shown = self.answer();
        let frame = Frame { channel: 0, data: Some("[ $? = 0 ] && echo well || echo badly\n".into()) };
        self.terminal.sender.try_send(frame).expect("the terminal takes a line");
        let code = self.answer();
        (code.lines().any(|line| line.trim_end() == "well"), shown)
    }
}

fn send(lab: &Lab, request: Request) -> Response {
    let answer = lab.cluster.public_api().handle(request);
    lab.cluster.executor().block_on(lab.cluster.now(), answer).expect("an answer at once")
}

fn get(lab: &Lab, path: &str) -> Response {
    send(lab, http::Request::get(path).body(Body::empty()).expect("a request"))
}

fn lessons() -> Vec<(String, Lesson)> {
    let mut lessons = Vec::new();
    for entry in std::fs::read_dir(FOLDER).expect("www/lessons") {
        let path = entry.expect("a file").path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".md")) else { continue };
        let text = std::fs::read_to_string(&path).expect("a lesson");
        let lesson = compile::lesson(&text).unwrap_or_else(|mistake| panic!("{}:{mistake}", path.display()));
        lessons.push((id.to_owned(), lesson));
    }
    lessons.sort_by(|(a, _), (b, _)| a.cmp(b));
    lessons
}

/// Solves a lesson; what was wrong with it, otherwise.
fn solve(lesson: &Lesson) -> Result<(), String> {
    let mut student = Student::new();
    for (name, text) in lesson.files() {
        let request = http::Request::put(format!("/playground/v1/files/{name}"));
        let request = request.body(Body::Bytes(text.to_owned().into())).expect("a request");
        assert_eq!(send(&student.lab, request).status(), 200, "{name}");
    }
    student.pass(READING);
    for step in &lesson.steps {
        let title = &step.title;
        student.look();
        if !step.checks.is_empty() && step.checks.iter().all(|check| check.holds(&student)) {
            return Err(format!("{title}: its checks hold before anything is done"));
        }
        for piece in &step.pieces {
            let (lines, well) = match piece {
                Piece::Run(lines) | Piece::Solution(lines) => (lines, true),
                Piece::Fails(lines) => (lines, false),
                Piece::Fault(lines) => {
                    for line in lines {
                        let (act, name) = line.split_once(' ').expect("a fault's name");
                        assert!(student.lab.cluster.cut_off(name, act == "cut"), "{name}");
                    }
                    continue;
                }
                _ => continue,
            };
            let untimely = |check: &playground_lesson::Check| check.holds(&student);
            if matches!(piece, Piece::Solution(_)) && step.checks.iter().all(untimely) {
                return Err(format!("{title}: its checks hold without the solution"));
            }
            for line in lines {
                let line = filled(line, &student);
                let (ended_well, shown) = student.type_line(&line);
                if ended_well != well {
                    return Err(format!("{title}: {line}\n{shown}"));
                }
                student.pass(READING);
            }
        }
        let mut waiting: Vec<_> = step.checks.iter().collect();
        for _ in 0..PATIENCE_SECONDS {
            waiting.retain(|check| !check.holds(&student));
            if waiting.is_empty() {
                break;
            }
            student.pass(Duration::from_secs(1));
        }
        if let Some(check) = waiting.first() {
            let (_, pods) = student.type_line("kubectl get pods -A -o wide; kubectl get nodes,events");
            return Err(format!("{title}: this did not come true: {}\n{pods}", check.text));
        }
    }
    Ok(())
}

#[test]
fn every_lesson_is_solved_by_its_own_solution_and_not_before() {
    let only = std::env::var("LESSON").ok();
    let mut broken = Vec::new();
    for (id, lesson) in lessons().into_iter().filter(|(id, _)| only.as_ref().is_none_or(|only| only == id)) {
        if let Err(reason) = solve(&lesson) {
            broken.push(format!("{id}: {reason}"));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

/// Translations have the originals' commands, files and checks: what solves one solves the other.
#[test]
fn every_lesson_is_translated() {
    for (id, original) in lessons() {
        let path = Path::new(FOLDER).join(format!("zh/{id}.md"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lesson = compile::translation(&text, &original).unwrap_or_else(|mistake| panic!("zh/{id}.md:{mistake}"));
        // A title may be a word of Kubernetes'.
        assert_ne!(lesson.summary, original.summary, "{id}");
        let acts = |lesson: &Lesson| {
            let pieces = lesson.steps.iter().flat_map(|step| &step.pieces);
            pieces.filter(|piece| !matches!(piece, Piece::Html(_) | Piece::Hint(_))).cloned().collect::<Vec<_>>()
        };
        assert_eq!(acts(&lesson), acts(&original), "{id}");
    }
}

#[test]
fn the_index_names_every_lesson() {
    let text = std::fs::read_to_string(Path::new(FOLDER).join("index.yaml")).expect("the index");
    compile::index(&text, &lessons()).unwrap_or_else(|mistake| panic!("index.yaml:{mistake}"));
}
