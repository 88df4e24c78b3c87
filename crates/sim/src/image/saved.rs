//! Images that people have made, as bytes: a line of JSON, then the files.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{Image, Reference};
use crate::fs::Tree;
use crate::process::Signal;
use crate::saved::{Saved, Saver};

impl Image {
    /// Visits it, as a part with its reference for a name.
    pub fn save(&self, saver: &mut Saver<'_>) {
        let name = self.reference.to_string();
        // A name has slashes, which are folders' in parts' names.
        let version = machinery::random::fnv64a(self.id.as_bytes());
        saver.part(&name.replace('/', "|"), version, &|| self.to_bytes());
    }

    /// The images in a folder of parts.
    pub fn restore_all(mut saved: Saved) -> Vec<Self> {
        let names = saved.names();
        names.iter().filter_map(|name| Self::from_bytes(&saved.take(name)?)).collect()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let about = json!({
            "reference": self.reference.to_string(),
            "id": self.id,
            "digest": self.digest,
            "entrypoint": self.entrypoint,
            "cmd": self.cmd,
            "env": self.env,
            "workingDir": self.working_dir,
            "user": self.user,
            "ports": self.ports,
            "size": self.size_bytes,
            "memory": self.memory_bytes,
            "cpu": self.cpu_nano_cores,
            "stop": self.stop_signal as u8,
        });
        let mut bytes = about.to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend(self.layer.flat().to_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (about, files) = bytes.split_at_checked(bytes.iter().position(|byte| *byte == b'\n')?)?;
        let about: Value = serde_json::from_slice(about).ok()?;
        let text = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
        let list = |name: &str| about[name].as_array().cloned().unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let words = |name: &str| list(name).iter().map(word).collect();
        let mut layer = Tree::default();
        if !layer.restore(files.get(1..)?) {
            return None;
        }
        Some(Self {
            reference: Reference::parse(&text("reference")).ok()?,
            id: text("id"),
            digest: text("digest"),
            entrypoint: words("entrypoint"),
            cmd: words("cmd"),
            env: list("env").iter().map(|pair| (word(&pair[0]), word(&pair[1]))).collect(),
            working_dir: text("workingDir"),
            user: text("user"),
            ports: list("ports").iter().filter_map(|port| port.as_u64()?.try_into().ok()).collect(),
            layer: Rc::new(layer),
            size_bytes: about["size"].as_u64().unwrap_or(0),
            memory_bytes: about["memory"].as_u64().unwrap_or(0),
            cpu_nano_cores: about["cpu"].as_u64().unwrap_or(0),
            stop_signal: Signal::parse(&about["stop"].to_string()).unwrap_or(Signal::Term),
        })
    }
}
