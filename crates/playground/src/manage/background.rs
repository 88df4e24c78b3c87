//! Servers in the background.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::home::{Home, Running};
use crate::progress::Progress;

/// How long a server may take to be ready: Docker may have to make many nodes.
const START_MAX: Duration = Duration::from_secs(180);
/// How long it may take to end before it is killed: the store is written.
const STOP_MAX: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Lines of the log that are shown when a server does not come up.
const LOG_LINES: usize = 10;

/// Starts a cluster's server, as its settings have it, and waits until it answers.
///
/// # Errors
/// With what the server said, if it does not come up.
pub fn start(home: &Home) -> Result<Running> {
    home.make()?;
    let log = File::create(home.log()).with_context(|| format!("cannot write {}", home.log().display()))?;
    let mut serve = Command::new(std::env::current_exe()?);
    serve.args(["serve", "--detached", "--name", &home.name]);
    if !home.is_usual() {
        serve.arg("--data-dir").arg(&home.directory);
    }
    let serve = serve.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = serve.spawn().context("cannot start the server")?;
    let mut progress = Progress::new("Starting the API server");
    let started = wait(home, &mut child, &mut progress);
    match &started {
        Ok(running) => {
            let address = running.address.map(|address| address.to_string()).unwrap_or_default();
            progress.done(&format!("The API server answers at https://{address}"));
        }
        Err(_) => progress.failed("The API server does not start"),
    }
    started
}

fn wait(home: &Home, child: &mut Child, progress: &mut Progress) -> Result<Running> {
    let deadline = Instant::now() + START_MAX;
    loop {
        if let Some(running) = home.running().filter(|running| running.pid == child.id() && running.address.is_some()) {
            return Ok(running);
        }
        if child.try_wait()?.is_some() {
            bail!("{}", last_words(home));
        }
        if Instant::now() > deadline {
            // Nothing to lose: it is not ready.
            let _ = child.kill();
            bail!("the server is not ready after {} s: {}", START_MAX.as_secs(), last_words(home));
        }
        progress.tick("");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// The end of what a server printed.
fn last_words(home: &Home) -> String {
    let text = std::fs::read_to_string(home.log()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n");
    match last.trim_start_matches("error: ") {
        "" => "the server ended and said nothing".into(),
        words => words.to_owned(),
    }
}

/// Ends a cluster's server, if there is one.
///
/// # Errors
/// When it does not end.
pub fn stop(home: &Home) -> Result<()> {
    let Some(running) = home.running() else { return Ok(()) };
    let pid = i32::try_from(running.pid).ok().and_then(Pid::from_raw).context("the server has no process")?;
    let begin = Instant::now();
    kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop the server, process {}", running.pid))?;
    let mut killed = false;
    while home.running().is_some_and(|now| now.pid == running.pid) {
        if begin.elapsed() > STOP_MAX * 2 {
            bail!("the server, process {}, does not end", running.pid);
        }
        if begin.elapsed() > STOP_MAX && !killed {
            killed = true;
            kill_process(pid, Signal::KILL)?;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}
