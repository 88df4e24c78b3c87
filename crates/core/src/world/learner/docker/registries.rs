//! Registries: `docker login`, `logout`, `search`. They ask for nobody's password here; the file that pulls read,
//! and of which a Secret is made, is Docker's own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::flags::{Flags, Known};
use super::{Code, Run};
use crate::kube_system::base64;

/// Docker Hub, by the name that its credentials have.
const HUB: &str = "https://index.docker.io/v1/";

/// What is in `~/.docker/config.json`: credentials by registry, and settings that nothing here reads.
#[derive(Default, Serialize, Deserialize)]
struct Config {
    #[serde(default)]
    auths: Map<String, Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Run {
    /// The file of credentials and settings, and what is in it.
    fn config(&self) -> Result<(String, Config), String> {
        let path = format!("{}/.docker/config.json", self.process.var("HOME"));
        let Ok(text) = self.process.fs().read_text(&path) else { return Ok((path, Config::default())) };
        let config = serde_json::from_str(&text);
        let config = config.map_err(|error| format!("Error loading config file: {path}: {error}"))?;
        Ok((path, config))
    }

    fn write_config(&self, path: &str, config: &Config) -> Result<(), String> {
        let (fs, now) = (self.process.fs(), self.now());
        let made = fs.create_dir_all(sim::fs::parent(path), now);
        let written = made.and_then(|()| fs.write(path, format!("{:#}", json!(config)), now));
        written.map_err(|error| format!("Error saving credentials: open {path}: {error}"))
    }

    /// Asks for a line, where somebody can answer.
    async fn ask(&self, what: &str) -> Result<String, String> {
        if self.process.stdin().tty().is_none() {
            return Err("Error: Cannot perform an interactive login from a non TTY device".into());
        }
        self.process.print(what).await;
        let answer = self.process.stdin().read(1024).await.unwrap_or_default();
        Ok(String::from_utf8_lossy(&answer).trim().to_owned())
    }

    pub(super) async fn login(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[("username", 'u', true), ("password", 'p', true), ("password-stdin", ' ', false)];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let server = if flags.word(0).is_empty() { HUB } else { flags.word(0) };
        let from_stdin = flags.is_on("password-stdin");
        if from_stdin && flags.value("password").is_some() {
            return Err("--password and --password-stdin are mutually exclusive".into());
        }
        if from_stdin && flags.value("username").is_none() {
            return Err("the --password-stdin option requires --username to be set".into());
        }
        let user = match flags.value("username") {
            Some(user) => user.to_owned(),
            None => self.ask("Username: ").await?,
        };
        let password = match flags.value("password") {
            Some(password) => {
                self.process.eprint("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n").await;
                password.to_owned()
            }
            None if from_stdin => {
                let text = self.process.stdin().read_to_end().await.unwrap_or_default();
                String::from_utf8_lossy(&text).trim_end_matches(['\r', '\n']).to_owned()
            }
            None => self.ask("Password: ").await?,
        };
        if user.is_empty() || password.is_empty() {
            return Err("Error: Password Required".into());
        }
        let (path, mut config) = self.config()?;
        config.auths.insert(server.to_owned(), json!({"auth": base64(&format!("{user}:{password}"))}));
        self.write_config(&path, &config)?;
        self.process
            .eprint(format!(
                "\nWARNING! Your credentials are stored unencrypted in '{path}'.\nConfigure a credential helper to remove \
                 this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n"
            ))
            .await;
        self.print("Login Succeeded\n").await
    }

    pub(super) async fn logout(&self, words: &[String]) -> Code {
        let server = words.first().map_or(HUB, String::as_str);
        let (path, mut config) = self.config()?;
        if config.auths.remove(server).is_none() {
            return self.print(format!("Not logged in to {server}\n")).await;
        }
        self.write_config(&path, &config)?;
        self.print(format!("Removing login credentials for {server}\n")).await
    }

    /// The world outside has no index of images.
    pub(super) async fn search(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("limit", ' ', true), ("filter", 'f', true)], usize::MAX)?;
        if flags.word(0).is_empty() {
            return Err("docker: 'docker search' requires 1 argument\n\nUsage:  docker search [OPTIONS] TERM".into());
        }
        Err(format!(
            "Error response from daemon: Get \"{HUB}search?q={}&n=25\": dial tcp: lookup index.docker.io: no such host",
            flags.word(0)
        ))
    }
}
