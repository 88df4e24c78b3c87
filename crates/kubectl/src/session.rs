//! One run of one command line: its flags, its cluster, its terminal.

use std::cell::OnceCell;
use std::time::Duration;

use machinery::Timestamp;

use crate::api::Client;
use crate::args::Invocation;
use crate::commands::server::CLIENT_VERSION;
use crate::error::Error;
use crate::host::{Host, SendError};
use crate::kubeconfig::{Kubeconfig, Target};
use crate::resources::Mapper;

/// Where a change stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// It is made.
    None,
    /// Nothing is sent.
    Client,
    /// The server does everything but keep it.
    Server,
}

impl DryRun {
    /// What is said after the operation: ` (dry run)`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }

    /// The `dryRun` query parameter; empty for none.
    pub fn parameter(self) -> &'static str {
        if self == Self::Server { "All" } else { "" }
    }
}

/// One run of one command line. What it learns from files and from the server it learns once.
pub struct Session<'h> {
    /// The machine.
    pub host: &'h dyn Host,
    /// The command line.
    pub args: Invocation,
    target: OnceCell<Target>,
    client: OnceCell<Client<'h>>,
    mapper: OnceCell<Mapper>,
}

impl<'h> Session<'h> {
    /// A run that has not looked at anything yet.
    pub fn new(host: &'h dyn Host, args: Invocation) -> Self {
        Self { host, args, target: OnceCell::new(), client: OnceCell::new(), mapper: OnceCell::new() }
    }

    /// Writes to standard output.
    pub fn out(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        if !text.is_empty() {
            self.host.stdout(text.as_bytes());
        }
    }

    /// Writes a line to standard output.
    pub fn outln(&self, text: impl AsRef<str>) {
        self.out(format!("{}\n", text.as_ref()));
    }

    /// Writes a line to standard error.
    pub fn errln(&self, text: impl AsRef<str>) {
        self.host.stderr(format!("{}\n", text.as_ref()).as_bytes());
    }

    /// Writes an error as it ends a run or interrupts one.
    pub fn report(&self, error: &Error) {
        report(self.host, error);
    }

    /// Writes a line in the form of klog, as kubectl does for some warnings: `W1120 23:00:24.904340 …`.
    pub fn klog(&self, level: char, place: &str, text: &str) {
        klog(self.host, level, place, text);
    }

    /// A number that another run does not draw.
    pub fn random(&self) -> u64 {
        self.host.random()
    }

    /// Letters and digits for a name that shall be unique.
    pub fn suffix(&self, length: usize) -> String {
        machinery::random::Rng::new(self.random()).suffix(length)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// The cluster that the kubeconfig and the flags mean.
    ///
    /// # Errors
    /// A broken kubeconfig.
    pub async fn target(&self) -> Result<&Target, Error> {
        if self.target.get().is_none() {
            let kubeconfig = Kubeconfig::load(self.host, &self.args).await?;
            let target = kubeconfig.target(self.host, &self.args).await?;
            return Ok(self.target.get_or_init(|| target));
        }
        self.target.get().ok_or_else(|| Error::message("no cluster"))
    }

    /// The client for that cluster.
    ///
    /// # Errors
    /// A broken kubeconfig.
    pub async fn client(&self) -> Result<&Client<'h>, Error> {
        let target = self.target().await?;
        Ok(self.client.get_or_init(|| Client::new(self.host, target.clone())))
    }

    /// What the server has.
    ///
    /// # Errors
    /// No answer from the server.
    pub async fn mapper(&self) -> Result<&Mapper, Error> {
        if self.mapper.get().is_none() {
            let mapper = Mapper::discover(self.client().await?).await.inspect_err(|error| self.undiscovered(error))?;
            if self.args.bool("match-server-version") {
                let version = self.client().await?.get("/version").await?;
                let (theirs, ours) = (version["gitVersion"].as_str().unwrap_or_default(), CLIENT_VERSION);
                if theirs != ours {
                    return Err(Error::message(format!(
                        "server version ({theirs}) differs from client version ({ours})"
                    )));
                }
            }
            return Ok(self.mapper.get_or_init(|| mapper));
        }
        self.mapper.get().ok_or_else(|| Error::message("no discovery"))
    }

    /// Tells of a server that does not answer, as often as the original's discovery tries it.
    fn undiscovered(&self, error: &Error) {
        const TRIES: usize = 5;
        let Error::Send { server, error } = error else { return };
        let host = server.split_once("://").map_or(server.as_str(), |(_, host)| host);
        let host = host.replace("localhost:", "127.0.0.1:");
        let reason = match error {
            SendError::Refused => format!("dial tcp {host}: connect: connection refused"),
            SendError::Failed(reason) => reason.clone(),
        };
        let text = format!(
            "\"Unhandled Error\" err=\"couldn't get current server API group list: Get \\\"{server}/api?timeout=32s\\\": \
             {reason}\""
        );
        (0..TRIES).for_each(|_| self.klog('E', "memcache.go:265", &text));
    }

    /// The namespace, and whether `--namespace` set it.
    ///
    /// # Errors
    /// A broken kubeconfig.
    pub async fn namespace(&self) -> Result<(String, bool), Error> {
        match self.args.string("namespace") {
            "" => Ok((self.target().await?.namespace.clone(), false)),
            namespace => Ok((namespace.to_owned(), true)),
        }
    }

    /// How many warnings the server has sent, for `--warnings-as-errors`.
    pub fn warnings(&self) -> usize {
        self.client.get().map_or(0, Client::warnings)
    }

    /// Reads `--dry-run`.
    ///
    /// # Errors
    /// For unknown values.
    pub fn dry_run(&self) -> Result<DryRun, Error> {
        match self.args.string("dry-run") {
            "" | "none" => Ok(DryRun::None),
            "client" => Ok(DryRun::Client),
            "server" => Ok(DryRun::Server),
            "unchanged" => {
                let text = "--dry-run is deprecated and can be replaced with --dry-run=client.";
                self.klog('W', "helpers.go:702", text);
                Ok(DryRun::Client)
            }
            value @ ("true" | "True" | "TRUE" | "1" | "t" | "T") => {
                let text = format!(
                    "--dry-run={value} is deprecated (boolean value) and can be replaced with --dry-run=client."
                );
                self.klog('W', "helpers.go:716", &text);
                Ok(DryRun::Client)
            }
            value @ ("false" | "False" | "FALSE" | "0" | "f" | "F") => {
                let text =
                    format!("--dry-run={value} is deprecated (boolean value) and can be replaced with --dry-run=none.");
                self.klog('W', "helpers.go:709", &text);
                Ok(DryRun::None)
            }
            value => Err(Error::message(format!(
                "Invalid dry-run value ({value}). Must be \"none\", \"server\", or \"client\"."
            ))),
        }
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        self.host.sleep(duration).await;
    }

    /// Runs a future until its end or until the time is over.
    pub async fn within<T>(&self, limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
        let Some(limit) = limit else { return Some(future.await) };
        let future = std::pin::pin!(future);
        match futures::future::select(future, self.host.sleep(limit)).await {
            futures::future::Either::Left((value, _)) => Some(value),
            futures::future::Either::Right(_) => None,
        }
    }
}

fn klog(host: &dyn Host, level: char, place: &str, text: &str) {
    let time = host.now().strftime("%m%d %H:%M:%S.%6f").to_string();
    host.stderr(format!("{level}{time}       1 {place}] {text}\n").as_bytes());
}

/// Writes an error as kubectl does.
pub fn report(host: &dyn Host, error: &Error) {
    if let Error::Fatal { place, text, .. } = error {
        return klog(host, 'F', place, text);
    }
    if let Error::Halfway { output, .. } = error {
        host.stdout(output.as_bytes());
    }
    let text = error.to_string();
    if text.ends_with('\n') {
        host.stderr(text.as_bytes());
    } else if !text.is_empty() {
        host.stderr(format!("{text}\n").as_bytes());
    }
}
