//! What the learner's computer has on its disk: files, Docker's images and containers, and the clusters of kind and
//! minikube. Where it is switched on again, Docker starts what ran in the background.

use std::rc::Rc;

use kubelet::runtime::{ContainerConfig, ContainerState, Mount, MountSource, PortMapping as HostPort};
use machinery::Timestamp;
use serde_json::{Value, json};
use sim::fs::Tree;
use sim::image::Image;
use sim::saved::{Saved, Saver};

use super::Learner;
use super::docker::{Docker, Own};

const DISK: &str = "computer";
const DOCKER: &str = "docker";
const CLUSTERS: &str = "cluster";
const IMAGES: &str = "images";
const RUNTIME: &str = "runtime";
const CONTAINERS: &str = "containers";
const LAYERS: &str = "layers";

impl Learner {
    /// Where the images are that the learner has pushed to a registry.
    pub(crate) const REGISTRY: &'static str = "registry";

    /// Visits all of it.
    pub(crate) fn save(&self, saver: &mut Saver<'_>) {
        {
            let disk = self.disk.borrow();
            saver.part(DISK, disk.changes(), &|| disk.to_bytes());
        }
        saver.within(Self::REGISTRY, &mut |saver| self.clusters.registry().save(saver));
        saver.within(DOCKER, &mut |saver| self.docker.save(saver));
        saver.within(CLUSTERS, &mut |saver| self.clusters.save(saver));
    }

    /// Puts the files back. Whether there were any.
    pub(super) fn restore_files(disk: &sim::fs::SharedTree, saved: &mut Saved) -> bool {
        saved.take(DISK).is_some_and(|files| disk.borrow_mut().restore(&files))
    }

    /// Puts back what is not a file.
    pub(super) fn restore(&self, mut saved: Saved) {
        self.clusters.restore(saved.take_folder(CLUSTERS));
        let docker = saved.take_folder(DOCKER);
        if !docker.is_empty() {
            self.docker.restore(docker);
        }
    }
}

impl Docker {
    fn save(&self, saver: &mut Saver<'_>) {
        let (registry, runtime) = (self.0.clusters.registry(), &self.0.runtime);
        saver.within(IMAGES, &mut |saver| {
            runtime.images().iter().filter(|image| !registry.has(image)).for_each(|image| image.save(saver));
        });
        saver.within(RUNTIME, &mut |saver| runtime.save(saver));
        let running = |own: &Own| {
            let found = runtime.containers().into_iter().find(|status| status.id == own.container_id);
            found.is_some_and(|status| status.state == ContainerState::Running)
        };
        let containers = self.0.containers.borrow();
        let all: Value = containers.iter().map(|own| own.to_json(running(own))).collect();
        saver.small(CONTAINERS, all.to_string().into_bytes());
        saver.within(LAYERS, &mut |saver| {
            for own in containers.iter() {
                let Some(layer) = runtime.layer(&own.container_id) else { continue };
                let layer = layer.borrow();
                saver.part(&own.container_id, layer.changes(), &|| layer.to_bytes());
            }
        });
    }

    fn restore(&self, mut saved: Saved) {
        let runtime = &self.0.runtime;
        for image in Image::restore_all(saved.take_folder(IMAGES)) {
            runtime.put_image(Rc::new(image));
        }
        runtime.restore(saved.take_folder(RUNTIME), &|_| false);
        let containers = saved.take(CONTAINERS).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let mut layers = saved.take_folder(LAYERS);
        let (mut ran, mut gone) = (Vec::new(), Vec::new());
        for value in containers.as_ref().and_then(Value::as_array).into_iter().flatten() {
            let Some(own) = Own::from_json(value) else { continue };
            let files = layers.take(&own.container_id);
            let image = self.image(&own.config.image_id).or_else(|| self.image(&own.config.image));
            if let (Some(files), Some(image)) = (files, image) {
                let mut layer = Tree::over(image.layer.clone());
                if layer.restore(&files) {
                    runtime.set_layer(&own.container_id, layer.share());
                }
            }
            // What somebody sat at has ended with their session.
            let goes_on = value["running"] == true && !own.config.stdin;
            match (goes_on, own.remove) {
                (false, true) => gone.push(own),
                (true, _) => ran.push(own),
                (false, false) => self.keep(&own),
            }
        }
        let docker = self.clone();
        self.0.clusters.computer().network().executor().spawn(async move {
            for own in gone {
                docker.remove_sandbox(&own).await;
            }
            for mut own in ran {
                // One whose port is taken meanwhile stays as it is.
                if docker.launch(&mut own).await.is_err() {
                    docker.keep(&own);
                }
            }
        });
    }
}

impl Own {
    fn to_json(&self, running: bool) -> Value {
        let config = &self.config;
        json!({
            "name": self.name,
            "sandbox": self.sandbox_id,
            "container": self.container_id,
            "running": running,
            "remove": self.remove,
            "created": self.created_at.as_microsecond(),
            "published": self.ports.iter().map(|port| {
                json!([port.protocol, port.container_port, port.host_port, port.host_ip])
            }).collect::<Vec<_>>(),
            "image": config.image,
            "imageId": config.image_id,
            "command": config.command,
            "args": config.args,
            "workingDir": config.working_dir,
            "env": config.env,
            "ports": config.ports,
            "stdin": config.stdin,
            "tty": config.tty,
            "mounts": config.mounts.iter().map(|mount| match &mount.source {
                MountSource::HostPath(path) => json!([path, mount.container_path, mount.read_only]),
                MountSource::Volume { .. } => Value::Null,
            }).collect::<Vec<_>>(),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |name: &str| value[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let words = |name: &str| list(name).iter().map(word).collect();
        let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
        Some(Self {
            name: word(&value["name"]),
            sandbox_id: word(&value["sandbox"]),
            container_id: word(&value["container"]),
            config: ContainerConfig {
                name: word(&value["name"]),
                pod_name: word(&value["name"]),
                image: word(&value["image"]),
                image_id: word(&value["imageId"]),
                command: words("command"),
                args: words("args"),
                working_dir: word(&value["workingDir"]),
                env: list("env").iter().map(|pair| (word(&pair[0]), word(&pair[1]))).collect(),
                ports: list("ports").iter().filter_map(port).collect(),
                stdin: value["stdin"] == true,
                stdin_once: true,
                tty: value["tty"] == true,
                mounts: list("mounts")
                    .iter()
                    .map(|mount| Mount {
                        source: MountSource::HostPath(word(&mount[0])),
                        container_path: word(&mount[1]),
                        read_only: mount[2] == true,
                    })
                    .collect(),
                ..ContainerConfig::default()
            },
            ports: list("published")
                .iter()
                .map(|mapping| HostPort {
                    protocol: word(&mapping[0]),
                    container_port: port(&mapping[1]).unwrap_or(0),
                    host_port: port(&mapping[2]).unwrap_or(0),
                    host_ip: word(&mapping[3]),
                })
                .collect(),
            created_at: Timestamp::from_microsecond(value["created"].as_i64()?).ok()?,
            remove: value["remove"] == true,
        })
    }
}
