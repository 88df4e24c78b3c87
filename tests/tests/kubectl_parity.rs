//! `playground kubectl` answers as the machine's own kubectl does: `data/kubectl-lines*.txt`, line by
//! line, over a server each. `KUBECTL_LINES=file` asks those of a file of your own.

#![allow(clippy::unwrap_used)] // of the test's own files

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use playground_tests::{Server, binary, root};
use regex_lite::Regex;
use tempfile::TempDir;

/// How long a line may take, in seconds.
const LINE_LIMIT: &str = "60";
const SETTLING_LIMIT: Duration = Duration::from_secs(120);

/// What may differ from one run to the next, and what stands for it. Ages and addresses are of different
/// widths, which moves what follows them in a table.
const MASKS: &[(&str, &str)] = &[
    // Where a pod went: which of two empty nodes the scheduler draws is not kubectl's.
    (r"\bplayground-worker2?\b( *)", "NODE "),
    // How long a pull took.
    (r"\b\d+(\.\d+)?m?s \(\d+(\.\d+)?m?s including", "TOOK including"),
    // Random suffixes, of the letters that Kubernetes takes for them.
    (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-XXXXX"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r"\b([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", "${1}TIME "),
    (r"\b(10|172)\.\d+\.\d+\.\d+( *)", "IP "),
    (r"127\.0\.0\.1:\d+", "SERVER"),
    ("(resourceVersion\"?: ?\"?)\\d+", "${1}N"),
    (r"\b3[0-2]\d{3}\b", "NODEPORT"),
    (r"[0-9a-f]{64}", "HASH"),
    (r"\b(\d+[smhd])+\b( *)", "AGE "),
    (r"\b(LAST SEEN|AGE|CLUSTER-IP|IP|INTERNAL-IP|FIRST SEEN|DURATION|LAST SCHEDULE) +", "$1 "),
    (r"eyJ[\w.-]+", "TOKEN"),
    // The files that edits are kept in.
    (r"kubectl-edit-\d+", "kubectl-edit-N"),
    // Of `diff`: the folders it compares and their files' times.
    (r"(LIVE|MERGED)-\d+", "$1-N"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000", "TIME"),
];

/// What is true before a list begins: all is up, and what the scheduler may place as it likes is on the same node
/// on both sides, its first pods gone.
const PREPARATION: [&str; 6] = [
    "kubectl wait --for=condition=Ready node --all --timeout=60s",
    "kubectl get serviceaccount default",
    r#"kubectl patch deployment coredns -n kube-system -p '{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"playground-control-plane"}}}}}'"#,
    r#"kubectl patch deployment local-path-provisioner -n local-path-storage -p '{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"playground-control-plane"}}}}}'"#,
    "kubectl rollout status deployment coredns -n kube-system --timeout=60s && \
     test \"$(kubectl get pods -n kube-system --no-headers | grep -c 1/1)\" = 12",
    "kubectl rollout status deployment local-path-provisioner -n local-path-storage --timeout=60s && \
     test \"$(kubectl get pods -n local-path-storage --no-headers | grep -c .)\" = 1",
];

/// One of the two kubectls, with a server, a home and files of its own.
struct Side {
    server: Server,
    folder: TempDir,
    path: String,
}

/// What a line said, with `FOLDER` for the side's own.
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Side {
    /// `kubectl` is a script to be found first; none for the machine's own.
    fn new(kubectl: Option<String>) -> Self {
        let server = Server::start(&["--runtime", "sim", "--nodes", "3"]);
        let folder = TempDir::new().unwrap();
        copy(&root().join("tests/data/kubectl"), &folder.path().join("files"));
        let config = folder.path().join("home/.kube");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::copy(server.kubeconfig(), config.join("config")).unwrap();
        let mut path = std::env::var("PATH").unwrap();
        if let Some(script) = kubectl {
            let bin = folder.path().join("bin");
            std::fs::create_dir(&bin).unwrap();
            std::fs::write(bin.join("kubectl"), script).unwrap();
            std::fs::set_permissions(bin.join("kubectl"), PermissionsExt::from_mode(0o755)).unwrap();
            path = format!("{}:{path}", bin.display());
        }
        Self { server, folder, path }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["-k", "1", LINE_LIMIT, "sh", "-c", line])
            .current_dir(self.folder.path().join("files"))
            .env("HOME", self.folder.path().join("home"))
            .env("PATH", &self.path)
            .env_remove("KUBECONFIG")
            // The original's own work is a third less.
            .env("GOGC", "off")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Answer {
        let output = self.command(line).output().unwrap();
        let folder = self.folder.path().display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&folder, "FOLDER");
        Answer { code: output.status.code(), stdout: text(&output.stdout), stderr: unlogged(&text(&output.stderr)) }
    }

    /// Waits until the line succeeds.
    fn settle(&self, line: &str) {
        let deadline = Instant::now() + SETTLING_LIMIT;
        let machines_own = std::env::var("PATH").unwrap();
        while !self.command(line).env("PATH", &machines_own).output().unwrap().status.success() {
            assert!(Instant::now() < deadline, "this did not come true: {line}\nserver: {}", self.server.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The answers to all lines, by the line's place.
    fn answers(&self, lines: &[Line]) -> BTreeMap<usize, Answer> {
        PREPARATION.iter().for_each(|line| self.settle(line));
        let mut answers = BTreeMap::new();
        for line in lines {
            match line.settles {
                true => self.settle(&line.text),
                false => _ = answers.insert(line.number, self.run(&line.text)),
            }
        }
        answers
    }
}

/// Errors of the original's that this machine's build hands to klog, as upstream's prints them: `error: …`.
fn unlogged(text: &str) -> String {
    const LOGGED: &str = "] \"command failed\" err=";
    let is_header = |start: &str| start.starts_with('E') && start.contains(" run.go:");
    let Some((before, logged)) = text.split_once(LOGGED) else { return text.to_owned() };
    let (before, header) = before.rsplit_once('\n').map_or(("", before), |(before, header)| (before, header));
    if !is_header(header) {
        return text.to_owned();
    }
    let (message, rest) = match logged.strip_prefix("<\n").and_then(|logged| logged.split_once("\n >\n")) {
        Some((lines, rest)) => {
            (lines.lines().map(|line| line.trim_start_matches('\t')).collect::<Vec<_>>().join("\n"), rest)
        }
        None => {
            let mut quoted = serde_json::Deserializer::from_str(logged).into_iter::<String>();
            let Some(Ok(message)) = quoted.next() else { return text.to_owned() };
            (message, logged[quoted.byte_offset()..].trim_start_matches('\n'))
        }
    };
    let line_end = if before.is_empty() { "" } else { "\n" };
    format!("{before}{line_end}error: {}\n{rest}", message.trim_end_matches('\n'))
}

struct Masks(Vec<(Regex, &'static str)>);

impl Masks {
    fn new() -> Self {
        Self(MASKS.iter().map(|(mask, stand_in)| (Regex::new(mask).unwrap(), *stand_in)).collect())
    }

    fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (mask, stand_in)| mask.replace_all(&text, *stand_in).into_owned())
    }

    /// Whether two texts are the same but for what may differ. No mask goes over a line's end, and most lines are
    /// the same as they are.
    fn alike(&self, theirs: &str, ours: &str) -> bool {
        let (mut left, mut right) = (theirs.split('\n'), ours.split('\n'));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some(left), Some(right)) if left == right || self.masked(left) == self.masked(right) => {}
                _ => return false,
            }
        }
    }
}

struct Line {
    number: usize,
    text: String,
    settles: bool,
    /// Why the machine's kubectl says something else.
    exception: Option<String>,
}

fn lines(list: &str) -> Vec<Line> {
    let mut exception = None;
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(list.lines()) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(reason) = text.strip_prefix("~ ") {
            exception = Some(reason.to_owned());
            continue;
        }
        let settles = text.strip_prefix("? ");
        let text = settles.unwrap_or(text).to_owned();
        lines.push(Line { number, text, settles: settles.is_some(), exception: exception.take() });
    }
    lines
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(status.success(), "{}", from.display());
}

fn told(answer: &Answer, masks: &Masks) -> String {
    format!("exit code {:?}\n{}{}", answer.code, masks.masked(&answer.stdout), masks.masked(&answer.stderr))
}

/// The lists, by their files' names.
const LISTS: [(&str, &str); 5] = [
    // What a learner types, with every command and form of output.
    ("kubectl-lines", include_str!("../data/kubectl-lines.txt")),
    // After upstream's own tests of its command line.
    ("kubectl-lines-upstream", include_str!("../data/kubectl-lines-upstream.txt")),
    // Every page's flags, mistakes, templates and descriptions of objects that have all there is.
    ("kubectl-lines-corners", include_str!("../data/kubectl-lines-corners.txt")),
    // Who may not, what is mistyped, names in every form, and the generators' corners.
    ("kubectl-lines-mistakes", include_str!("../data/kubectl-lines-mistakes.txt")),
    // The pages' examples, the quick reference, manifests and words that are wrong, and kustomizations.
    ("kubectl-lines-pages", include_str!("../data/kubectl-lines-pages.txt")),
];

/// So many lines of a list may differ by chance.
const CHANCES: usize = 3;

/// The lists run beside each other: a line waits more than it computes.
#[test]
fn both_kubectls_answer_alike() {
    let own = std::env::var("KUBECTL_LINES").ok().map(|path| std::fs::read_to_string(path).unwrap());
    let lists = own.as_deref().map_or_else(|| LISTS.to_vec(), |own| vec![("KUBECTL_LINES", own)]);
    let reports = std::thread::scope(|scope| {
        let running: Vec<_> =
            lists.into_iter().map(|(name, list)| scope.spawn(move || twice(name, &lines(list)))).collect();
        running.into_iter().flat_map(|report| report.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(reports.is_empty(), "{} lines differ:\n{}", reports.len(), reports.join("\n"));
}

/// What differs, and differs again when the whole list is asked anew: the original prints some maps in
/// whatever order Go's runtime draws, and what both say of a cluster at work may be a moment apart. What
/// differed only once is told, and too much of it is an error too.
fn twice(name: &str, lines: &[Line]) -> Vec<String> {
    let first = differences(lines);
    if first.is_empty() {
        return Vec::new();
    }
    let second = differences(lines);
    let (lasting, chance): (BTreeMap<_, _>, BTreeMap<_, _>) =
        first.into_iter().partition(|(number, _)| second.contains_key(number));
    let mut reports: Vec<_> = lasting.into_values().collect();
    let chance: Vec<_> = chance.into_values().map(|report| format!("once of two times: {report}")).collect();
    // Not by a macro: what those write is shown of failing tests only.
    let _ = std::io::stderr().write_all(format!("\n{name}:\n{}\n", chance.join("\n")).as_bytes());
    if chance.len() > CHANCES {
        reports.extend(chance);
    }
    reports.iter().map(|report| format!("{name}: {report}")).collect()
}

/// How the two answers differ, by the line's place.
fn differences(lines: &[Line]) -> BTreeMap<usize, String> {
    let original = Side::new(None);
    let ours = Side::new(Some(format!("#!/bin/sh\nexec '{}' kubectl \"$@\"\n", binary().display())));
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| original.answers(lines));
        let ours = ours.answers(lines);
        (theirs.join().unwrap(), ours)
    });
    let masks = Masks::new();
    let difference = |line: &Line| {
        let (theirs, ours) = (theirs.get(&line.number)?, ours.get(&line.number)?);
        let Line { number, text, exception, .. } = line;
        let same = theirs.code == ours.code
            && masks.alike(&theirs.stdout, &ours.stdout)
            && masks.alike(&theirs.stderr, &ours.stderr);
        let report = match (same, exception) {
            (true, None) | (false, Some(_)) => return None,
            (true, Some(reason)) => format!("line {number} is no exception: {text}\n  it was said: {reason}"),
            (false, None) => {
                let (theirs, ours) = (told(theirs, &masks), told(ours, &masks));
                format!("line {number}: {text}\n--- kubectl: {theirs}\n--- playground kubectl: {ours}")
            }
        };
        Some((*number, report))
    };
    lines.iter().filter_map(difference).collect()
}
