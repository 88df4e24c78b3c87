//! `minikube config`: settings that new clusters take, and which profile is meant where none is named. They are a file
//! in the learner's home, as minikube has it.

use serde_json::{Map, Value};

use super::{Minikube, Outcome, usage};
use crate::world::learner::flags::Flags;

/// What can be set.
const NAMES: [&str; 13] = [
    "EmbedCerts",
    "WantUpdateNotification",
    "cache",
    "container-runtime",
    "cpus",
    "disk-size",
    "driver",
    "insecure-registry",
    "kubernetes-version",
    "memory",
    "profile",
    "rootless",
    "vm-driver",
];
/// What nobody has to delete a cluster for.
const AT_ONCE: [&str; 2] = ["WantUpdateNotification", "profile"];

impl Minikube {
    /// What a flag says, or else the settings.
    pub(super) fn setting(&self, flags: &Flags, name: &str) -> Option<String> {
        let kept = || match self.settings().remove(name)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        flags.value(name).map(str::to_owned).or_else(kept)
    }

    /// The profile that a line means.
    pub(super) fn profile_of(&self, flags: &Flags) -> String {
        let named = flags.value("profile").or(self.process.env.get("MINIKUBE_PROFILE").map(String::as_str));
        let named = named.filter(|name| !name.is_empty()).map(str::to_owned);
        named.or_else(|| self.setting(flags, "profile")).unwrap_or_else(|| "minikube".to_owned())
    }

    /// Changes a setting; `None` takes it away.
    pub(super) fn set(&self, name: &str, value: Option<&str>) {
        let mut settings = self.settings();
        match value {
            Some(value) => _ = settings.insert(name.to_owned(), value.into()),
            None => _ = settings.remove(name),
        }
        let (path, now) = (self.settings_file(), self.process.machine.now());
        // A home that cannot be written to keeps the settings it has.
        let _ = self.process.fs().create_dir_all(sim::fs::parent(&path), now);
        let _ = self.process.fs().write(&path, format!("{:#}", Value::Object(settings)), now);
    }

    pub(super) async fn config(&self, flags: &Flags) -> Outcome {
        let (name, value) = (flags.word(2), flags.word(3));
        let known = NAMES.contains(&name);
        match (flags.word(1), name, value) {
            ("view", ..) => {
                let line = |(name, value): (String, Value)| match value {
                    Value::String(text) => format!("- {name}: {text}\n"),
                    other => format!("- {name}: {other}\n"),
                };
                self.say(&self.settings().into_iter().map(line).collect::<String>()).await
            }
            ("get", "", _) => Err(usage("Usage: minikube config get PROPERTY_NAME")),
            ("get", name, _) => match self.settings().get(name).and_then(Value::as_str) {
                Some(value) => self.say(&format!("{value}\n")).await,
                None => Err((14, "MK_CONFIG_GET: Error: specified key could not be found in config".to_owned())),
            },
            ("set", "", _) => {
                Err(usage("not enough arguments (0).\nusage: minikube config set PROPERTY_NAME PROPERTY_VALUE"))
            }
            ("set", _, "") => {
                Err(usage("not enough arguments (1).\nusage: minikube config set PROPERTY_NAME PROPERTY_VALUE"))
            }
            ("set" | "unset", name, _) if !known => {
                Err((14, format!("MK_CONFIG_SET: Set failed: property name {name:?} not found")))
            }
            ("set", name, value) => {
                self.set(name, Some(value));
                match AT_ONCE.contains(&name) {
                    true => Ok(0),
                    false => {
                        self.say(
                            "❗  These changes will take effect upon a minikube delete and then a minikube start\n",
                        )
                        .await
                    }
                }
            }
            ("unset", name, _) => {
                self.set(name, None);
                Ok(0)
            }
            _ => Err(usage("Usage: minikube config [get|set|unset|view]")),
        }
    }

    fn settings_file(&self) -> String {
        format!("{}/.minikube/config/config.json", self.process.var("HOME"))
    }

    fn settings(&self) -> Map<String, Value> {
        let text = self.process.fs().read_text(&self.settings_file()).unwrap_or_default();
        match machinery::yaml::from_str(&text) {
            Ok(Value::Object(settings)) => settings,
            _ => Map::new(),
        }
    }
}
