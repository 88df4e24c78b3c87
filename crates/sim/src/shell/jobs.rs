//! Jobs: what runs in the background or is stopped, as bash shows it and takes it by `%`.

use std::pin::pin;
use std::rc::Rc;

use futures::future::{Either, select, select_all};
use machinery::sort::Order;

use super::{Flow, Shell};
use crate::process::{Child, Pid, Signal};

/// How many jobs that have ended wait to be asked for.
const ENDED_MAX: usize = 64;

/// A command in the background, or one that is stopped.
#[derive(Clone)]
pub(super) struct Job {
    /// Its place among the shell's jobs, from 1 on.
    number: usize,
    process: Child,
    /// Its processes' group, if that is not the shell's.
    group: Option<Pid>,
    text: Rc<str>,
    /// When it was started or stopped last, among the shell's jobs.
    touched: usize,
}

impl Job {
    fn has_ended(&self) -> bool {
        self.process.exit_code().is_some()
    }

    /// What has become of it, as bash calls that.
    fn state(&self) -> String {
        match (self.process.exit_code(), self.process.killed_by()) {
            (None, _) if self.process.is_stopped() => "Stopped".into(),
            (None, _) => "Running".into(),
            (Some(_), Some(signal)) => signal.description().into(),
            (Some(0), None) => "Done".into(),
            (Some(code), None) => format!("Exit {code}"),
        }
    }
}

impl Shell {
    /// Takes a command into the jobs, and tells its number.
    pub(super) fn add_job(&mut self, process: Child, group: Option<Pid>, text: Rc<str>) -> usize {
        let ended = self.jobs.iter().filter(|job| job.has_ended()).count();
        if ended > ENDED_MAX
            && let Some(oldest) = self.jobs.iter().position(Job::has_ended)
        {
            self.jobs.remove(oldest);
        }
        let number = self.jobs.last().map_or(0, |job| job.number) + 1;
        let touched = self.touch();
        self.jobs.push(Job { number, process, group, text, touched });
        number
    }

    fn touch(&self) -> usize {
        self.jobs.iter().map(|job| job.touched).max().unwrap_or(0) + 1
    }

    /// The job that `%+` means, and the one that `%-` means.
    fn current_jobs(&self) -> (Option<usize>, Option<usize>) {
        let mut live: Vec<&Job> = self.jobs.iter().collect();
        live.order_by_key(|job| std::cmp::Reverse((job.process.is_stopped(), job.touched)));
        let number = |at: usize| live.get(at).map(|job| job.number);
        (number(0), number(1).or_else(|| number(0)))
    }

    /// The place of the job that is meant by `%1`, `%%`, `%-`, `%name`, `%?text`, or a number of the kind given.
    fn find_job(&self, word: &str, by_pid: bool) -> Option<usize> {
        let (current, previous) = self.current_jobs();
        let numbered = |number: usize| self.jobs.iter().position(|job| job.number == number);
        let Some(text) = word.strip_prefix('%') else {
            let number = word.parse::<Pid>().ok()?;
            return match by_pid {
                true => self.jobs.iter().position(|job| job.process.pid == number),
                false => numbered(usize::try_from(number).ok()?),
            };
        };
        match (text, text.parse::<usize>(), text.strip_prefix('?')) {
            ("" | "%" | "+", ..) => numbered(current?),
            ("-", ..) => numbered(previous?),
            (_, Ok(number), _) => numbered(number),
            (_, _, Some(part)) => self.jobs.iter().position(|job| job.text.contains(part)),
            (start, ..) => self.jobs.iter().position(|job| job.text.starts_with(start)),
        }
    }

    /// A job's line: `[1]+  Running                 sleep 100 &`.
    fn job_line(&self, job: &Job, with_pid: bool) -> String {
        const STATE_WIDTH: usize = 24;
        let (current, previous) = self.current_jobs();
        let mark = match Some(job.number) {
            number if number == current => '+',
            number if number == previous => '-',
            _ => ' ',
        };
        let state = job.state();
        let end = if state == "Running" { " &" } else { "" };
        let pid = if with_pid { format!("{} ", job.process.pid) } else { " ".to_owned() };
        format!("[{}]{mark} {pid}{state:<STATE_WIDTH$}{}{end}\n", job.number, job.text)
    }

    /// Before a prompt: tells of the jobs that have ended, and forgets them.
    pub(super) async fn report_jobs(&mut self) {
        let ended = self.jobs.iter().filter(|job| job.has_ended());
        let lines: String = ended.map(|job| self.job_line(job, false)).collect();
        let _ = self.fd(2).write_all(lines.as_bytes()).await;
        self.jobs.retain(|job| !job.has_ended());
    }

    /// Whether the shell had better not end yet: it says so once.
    pub(super) async fn keeps_stopped_jobs(&mut self) -> bool {
        let keeps = self.interactive && !self.warned && self.jobs.iter().any(|job| job.process.is_stopped());
        if keeps {
            self.warned = true;
            let _ = self.fd(2).write_all(b"There are stopped jobs.\n").await;
        }
        keeps
    }

    /// What a foreground command that was stopped becomes: the current job.
    pub(super) async fn stopped(&mut self, process: &Child, group: Pid) -> Flow {
        let known = self.jobs.iter().position(|job| job.process.pid == process.pid);
        let touched = self.touch();
        match known.and_then(|place| self.jobs.get_mut(place)) {
            Some(job) => job.touched = touched,
            None => _ = self.add_job(process.clone(), Some(group), self.typed.clone()),
        }
        let job = self.jobs.iter().find(|job| job.process.pid == process.pid);
        let line = job.map(|job| self.job_line(job, false)).unwrap_or_default();
        let _ = self.fd(2).write_all(format!("\n{line}").as_bytes()).await;
        self.status = Signal::Tstp.exit_code();
        Flow::Interrupted
    }

    async fn no_such_job(&self, command: &str, word: &str) {
        self.error(&format!("{command}: {word}: no such job")).await;
    }

    fn resume(&mut self, place: usize) {
        let touched = self.touch();
        let Some(job) = self.jobs.get_mut(place) else { return };
        job.touched = touched;
        match job.group {
            Some(group) => _ = self.machine.kill_group(group, Signal::Cont),
            // It may have ended meanwhile.
            None => _ = self.machine.kill(job.process.pid, Signal::Cont),
        }
    }
}

/// `jobs`: `-l` with process numbers, `-p` those alone, `-r` what runs, `-s` what is stopped.
pub(super) async fn jobs(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let (flags, words): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|word| word.starts_with('-'));
    let has = |flag: char| flags.iter().any(|word| word.contains(flag));
    if let Some(unknown) = flags.iter().flat_map(|word| word.chars().skip(1)).find(|flag| !"lprsn".contains(*flag)) {
        shell.error(&format!("jobs: -{unknown}: invalid option\njobs: usage: jobs [-lnprs] [jobspec ...]")).await;
        return Ok(2);
    }
    let mut places: Vec<usize> = (0..shell.jobs.len()).collect();
    if !words.is_empty() {
        places.clear();
        for word in words {
            match shell.find_job(word, false) {
                Some(place) => places.push(place),
                None => {
                    shell.no_such_job("jobs", word).await;
                    return Ok(1);
                }
            }
        }
    }
    let mut lines = String::new();
    for job in places.iter().filter_map(|place| shell.jobs.get(*place)) {
        let state = job.state();
        if (has('r') && state != "Running") || (has('s') && state != "Stopped") {
            continue;
        }
        match has('p') {
            true => lines.push_str(&format!("{}\n", job.process.pid)),
            false => lines.push_str(&shell.job_line(job, has('l'))),
        }
    }
    let _ = shell.fd(1).write_all(lines.as_bytes()).await;
    // What was told is not told again.
    shell.jobs.retain(|job| !job.has_ended());
    Ok(0)
}

/// `fg` and `bg`: the current job or the one that is named goes on, in the foreground or behind it.
pub(super) async fn go_on(shell: &mut Shell, command: &str, arguments: &[String]) -> Result<i32, Flow> {
    if !shell.interactive {
        shell.error(&format!("{command}: no job control")).await;
        return Ok(1);
    }
    let word = arguments.first().map_or("%+", String::as_str);
    let found = shell.find_job(word, false).and_then(|place| Some((place, shell.jobs.get(place)?.clone())));
    let Some((place, job)) = found else {
        shell.no_such_job(command, arguments.first().map_or("current", String::as_str)).await;
        return Ok(1);
    };
    if job.has_ended() {
        shell.error(&format!("{command}: job has terminated")).await;
        return Ok(1);
    }
    if command == "bg" {
        if !job.process.is_stopped() {
            shell.error(&format!("bg: job {} already in background", job.number)).await;
            return Ok(0);
        }
        shell.resume(place);
        let mark = if shell.current_jobs().0 == Some(job.number) { '+' } else { ' ' };
        let _ = shell.fd(1).write_all(format!("[{}]{mark} {} &\n", job.number, job.text).as_bytes()).await;
        return Ok(0);
    }
    let _ = shell.fd(1).write_all(format!("{}\n", job.text).as_bytes()).await;
    shell.resume(place);
    let ended = shell.wait_foreground(&job.process, job.group.unwrap_or(job.process.pid)).await;
    shell.jobs.retain(|known| known.number != job.number || !known.has_ended());
    ended
}

/// `disown`: the shell forgets its jobs.
pub(super) async fn disown(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    if arguments.iter().any(|word| word == "-a") {
        shell.jobs.clear();
        return Ok(0);
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    for word in if words.is_empty() { vec!["%+"] } else { words } {
        match shell.find_job(word, true) {
            Some(place) => _ = shell.jobs.remove(place),
            None => {
                shell.no_such_job("disown", if word == "%+" { "current" } else { word }).await;
                return Ok(1);
            }
        }
    }
    Ok(0)
}

/// `wait`: ends early, with 128 and the signal's number, when a signal comes that has a trap. `-n` waits for one.
pub(super) async fn wait(shell: &mut Shell, arguments: &[String]) -> Result<i32, Flow> {
    let any = arguments.iter().any(|word| word == "-n");
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let mut wanted = Vec::new();
    let mut code = 0;
    for word in &words {
        match shell.find_job(word, true).and_then(|place| shell.jobs.get(place)) {
            Some(job) => wanted.push(job.process.clone()),
            None => {
                match word.starts_with('%') {
                    true => shell.no_such_job("wait", word).await,
                    false => shell.error(&format!("wait: pid {word} is not a child of this shell")).await,
                }
                code = 127;
            }
        }
    }
    if words.is_empty() {
        wanted = shell.jobs.iter().map(|job| job.process.clone()).collect();
        if any && wanted.is_empty() {
            return Ok(127);
        }
    }
    while !wanted.is_empty() {
        let signals = shell.signals.clone();
        let next = async {
            // The first of them, or the first to end.
            let many = if any { wanted.len() } else { 1 };
            let (code, place, _) = select_all(wanted.iter().take(many).map(|process| Box::pin(process.wait()))).await;
            (code, place)
        };
        let (ended, place) = match select(pin!(next), pin!(signals.arrived())).await {
            Either::Left((ended, _)) => ended,
            Either::Right((signal, _)) => {
                shell.run_traps().await?;
                return Ok(signal.exit_code());
            }
        };
        code = ended;
        let process = wanted.remove(place);
        // An interactive shell tells of it before its prompt.
        if !shell.interactive {
            shell.jobs.retain(|job| job.process.pid != process.pid);
        }
        if any {
            break;
        }
    }
    Ok(if words.is_empty() && !any { 0 } else { code })
}

/// The words of `kill`, with what a `%` means: a group of processes, or one.
pub(super) async fn kill_words(shell: &Shell, words: Vec<String>) -> Option<Vec<String>> {
    let mut changed = Vec::new();
    for word in words {
        if !word.starts_with('%') {
            changed.push(word);
            continue;
        }
        let Some(job) = shell.find_job(&word, false).and_then(|place| shell.jobs.get(place)) else {
            shell.no_such_job("kill", &word).await;
            return None;
        };
        match job.group {
            Some(group) => {
                if !changed.iter().any(|word| word == "--") {
                    changed.push("--".into());
                }
                changed.push(format!("-{group}"));
            }
            None => changed.push(job.process.pid.to_string()),
        }
    }
    Some(changed)
}
