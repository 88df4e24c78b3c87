//! What went wrong, and how kubectl says it.

use std::fmt;

use machinery::ApiError;

use crate::host::SendError;

/// Why a command ends with an exit code other than 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// `error: …`
    Message(String),
    /// Text to print as it stands.
    Verbatim(String),
    /// The server's answer, a `metav1.Status`.
    Status(ApiError),
    /// No answer.
    Send {
        /// The server's URL.
        server: String,
        /// What failed.
        error: SendError,
    },
    /// Several of them.
    Many(Vec<Error>),
    /// What was written to standard output before it went wrong, and what went wrong.
    Halfway {
        /// The output.
        output: String,
        /// The error.
        error: Box<Error>,
    },
    /// What ends the original by a line of its log.
    Fatal {
        /// The original's source line: `sorter.go:375`.
        place: &'static str,
        /// The message.
        text: String,
        /// The exit code.
        code: i32,
    },
    /// All has been said: only the exit code is left.
    Exit(i32),
}

impl Error {
    /// `error: …`
    pub fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// One error, several, or none.
    ///
    /// # Errors
    /// If there is any.
    pub fn all(mut errors: Vec<Error>) -> Result<(), Error> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Many(errors)),
        }
    }

    /// Whether the server says that there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.is_reason("NotFound")
    }

    /// Whether the server answers with a reason.
    pub fn is_reason(&self, reason: &str) -> bool {
        matches!(self, Self::Status(status) if status.reason() == reason)
    }

    /// Says what was being done with which file: `error when creating "x.yaml": …`.
    pub fn with_source(self, verb: &str, source: &str) -> Self {
        match self {
            Self::Status(mut status) => {
                if !source.is_empty() {
                    status.0.message = Some(format!("error when {verb} {source:?}: {}", status.message()));
                }
                Self::Status(status)
            }
            Self::Message(text) if !source.is_empty() => Self::Message(format!("error when {verb} {source:?}: {text}")),
            other => other,
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Exit(code) | Self::Fatal { code, .. } => *code,
            // The last one decides: a message may be followed by the exit code that goes with it.
            Self::Many(errors) => errors.last().map_or(1, Self::exit_code),
            _ => 1,
        }
    }

    /// What goes before the message in lists of errors and elsewhere: without kubectl's prefix.
    pub fn plain(&self) -> String {
        match self {
            Self::Message(text) | Self::Verbatim(text) => text.clone(),
            Self::Status(status) => status.message().to_owned(),
            Self::Many(errors) => match errors.as_slice() {
                [one] => one.plain(),
                many => format!("[{}]", many.iter().map(Self::plain).collect::<Vec<_>>().join(", ")),
            },
            other => other.to_string(),
        }
    }

    /// One of several errors: what is no answer of the server stands there without a prefix.
    fn in_list(&self) -> String {
        match self {
            Self::Message(text) => text.clone(),
            other => other.standard(),
        }
    }

    /// One error as part of several: without the special form of `Invalid`.
    fn standard(&self) -> String {
        match self {
            Self::Message(text) if text.starts_with("error: ") => text.clone(),
            Self::Message(text) => format!("error: {text}"),
            Self::Status(status) => match status.reason() {
                "Unauthorized" => format!("error: You must be logged in to the server ({})", status.message()),
                "" | "Unknown" => format!("Error from server: {}", status.message()),
                reason => format!("Error from server ({reason}): {}", status.message()),
            },
            Self::Send { server, error: SendError::Refused } => {
                let host = server.split_once("://").map_or(server.as_str(), |(_, host)| host);
                let host = host.split('/').next().unwrap_or_default();
                format!("The connection to the server {host} was refused - did you specify the right host or port?")
            }
            Self::Send { error: SendError::Failed(text), .. } => format!("Unable to connect to the server: {text}"),
            Self::Verbatim(text) => text.clone(),
            Self::Many(errors) => {
                let lines: Vec<String> = errors.iter().map(Self::in_list).filter(|line| !line.is_empty()).collect();
                lines.join("\n")
            }
            Self::Halfway { error, .. } => error.standard(),
            Self::Fatal { text, .. } => text.clone(),
            Self::Exit(_) => String::new(),
        }
    }
}

/// As `kubectl` prints it, without the final line break.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Status(status) = self else { return f.write_str(&self.standard()) };
        if status.reason() != "Invalid" {
            return f.write_str(&self.standard());
        }
        let details = status.0.details.clone().unwrap_or_default();
        let (kind, name) = (details.kind.unwrap_or_default(), details.name.unwrap_or_default());
        let causes: Vec<String> = details
            .causes
            .unwrap_or_default()
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field.unwrap_or_default(), cause.message.unwrap_or_default()))
            .collect();
        if !kind.is_empty() || !name.is_empty() {
            write!(f, "The {kind} {name:?} is invalid")?;
        } else {
            f.write_str("The request is invalid")?;
            if let ([], Some(message)) = (causes.as_slice(), &status.0.message) {
                write!(f, ": {message}")?;
            }
        }
        match causes.as_slice() {
            [] => Ok(()),
            [cause] => writeln!(f, ": {cause}"),
            causes => {
                f.write_str(": ")?;
                causes.iter().try_for_each(|cause| write!(f, "\n* {cause}"))
            }
        }
    }
}

impl std::error::Error for Error {}
