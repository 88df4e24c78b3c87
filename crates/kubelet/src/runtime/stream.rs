//! What streams: logs, exec, attach.

use bytes::Bytes;
use machinery::Timestamp;

/// Which log lines of a container are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogRequest {
    /// The container.
    pub container_id: String,
    /// Whether to go on until the container ends.
    pub follow: bool,
    /// Only lines of this time or later.
    pub since: Option<Timestamp>,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
}

/// Where a process wrote a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// Where.
    pub stream: LogStream,
    /// What, with the newline that ended it (the last line of a process may lack one).
    pub content: Bytes,
}

/// A command to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The container.
    pub container_id: String,
    /// Arguments, without a shell.
    pub command: Vec<String>,
    /// Whether channel 0 is its standard input.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted.
    pub stderr: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// Joining a container's main process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachRequest {
    /// The container.
    pub container_id: String,
    /// Whether channel 0 is its standard input.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted.
    pub stderr: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// The Status that ends an exec or attach on channel 3, from the command's exit code.
pub fn exit_status(exit_code: i32) -> Bytes {
    let status = if exit_code == 0 {
        serde_json::json!({"metadata": {}, "status": "Success"})
    } else {
        serde_json::json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: command terminated with exit code {exit_code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": exit_code.to_string()}]},
        })
    };
    status.to_string().into()
}
