//! Images: what is there, what can be pulled, and the sandbox's own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::body_full;
use bollard::errors::Error;
use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder};
use futures::StreamExt;
use kubelet::runtime::{ErrorCode, Event, ImageInfo, RuntimeError, Ticket};
use serde_json::Value;

use super::connection::failed;
use super::engine::Engine;

/// The image of the cluster's own containers: sandboxes, nodes and the agent. Named after what is in it.
pub const AGENT: &str = concat!("playground/agent:", env!("PLAYGROUND_AGENT_TAG"));
/// The program in it, compressed: see the crate `playground-agent`.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent.gz"));

/// How often a pull says how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
const HUB: &str = "https://index.docker.io/v1/";

/// The image, if Docker has it.
pub async fn status(engine: &Engine, image: &str) -> Result<Option<ImageInfo>, RuntimeError> {
    match engine.docker.inspect_image(image).await {
        Ok(found) => Ok(Some(info(found))),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Fetches an image. One that was made here (it has no registry's digest) is taken as it is, and one
/// whose registry cannot be reached is used if Docker has it: a machine without a network works.
/// Says now and then how far it has come.
pub async fn pull(
    engine: &Engine,
    ticket: Ticket,
    image: &str,
    pull_secrets: &[String],
) -> Result<ImageInfo, RuntimeError> {
    let local = status(engine, image).await?;
    if let Some(local) = local.as_ref().filter(|local| local.repo_digests.is_empty()) {
        return Ok(local.clone());
    }
    let reference = if has_tag(image) { image.to_string() } else { format!("{image}:latest") };
    let options = CreateImageOptionsBuilder::new().from_image(&reference).build();
    let credentials = credentials(image, pull_secrets);
    let mut progress = engine.docker.create_image(Some(options), None, credentials).boxed();
    let (mut layers, mut told) = (Layers::default(), Instant::now());
    while let Some(step) = progress.next().await {
        let error = match step {
            Ok(CreateImageInfo { error_detail: Some(detail), .. }) => {
                RuntimeError::new(ErrorCode::Unknown, detail.message.unwrap_or_default())
            }
            Ok(step) => {
                layers.note(step);
                if told.elapsed() >= PROGRESS_INTERVAL
                    && let Some(progress) = layers.words()
                {
                    told = Instant::now();
                    engine.tell(Event::Pulling { ticket, progress });
                }
                continue;
            }
            // Inside a pull, 404 is about the registry's image.
            Err(Error::DockerStreamError { error }) => RuntimeError::new(ErrorCode::Unknown, error),
            Err(error) => failed(error),
        };
        return match local {
            Some(local) if unreachable(&error.message) => Ok(local),
            _ => Err(error),
        };
    }
    status(engine, image)
        .await?
        .ok_or_else(|| RuntimeError::new(ErrorCode::NotFound, format!("Docker pulled {image} but does not have it")))
}

/// What has come of an image's layers, by their ids, and how much there is of each.
#[derive(Default)]
struct Layers(BTreeMap<String, (i64, i64)>);

impl Layers {
    fn note(&mut self, step: CreateImageInfo) {
        let (Some(id), Some(detail)) = (step.id, step.progress_detail) else { return };
        // Unpacking is counted in the same bytes.
        if step.status.as_deref() == Some("Downloading")
            && let (Some(current), Some(total)) = (detail.current, detail.total)
        {
            self.0.insert(id, (current, total));
        } else if let Some((current, total)) = self.0.get_mut(&id) {
            *current = *total;
        }
    }

    /// `12.5 MB of 50.0 MB (25%)`: of the layers that have begun.
    fn words(&self) -> Option<String> {
        let sum = |(a, b): (i64, i64), (c, d): &(i64, i64)| (a.saturating_add(*c), b.saturating_add(*d));
        let (current, total) = self.0.values().fold((0, 0), sum);
        let mb = |bytes: i64| bytes as f64 / 1e6;
        let share = current.saturating_mul(100).checked_div(total)?;
        Some(format!("{:.1} MB of {:.1} MB ({share}%)", mb(current), mb(total)))
    }
}

/// Images that have a name.
pub async fn list(engine: &Engine) -> Result<Vec<ImageInfo>, RuntimeError> {
    let options = ListImagesOptionsBuilder::new().build();
    let images = engine.docker.list_images(Some(options)).await.map_err(failed)?;
    let named = images.into_iter().filter(|image| image.repo_tags.iter().any(|tag| tag != "<none>:<none>"));
    Ok(named
        .map(|image| ImageInfo {
            id: image.id,
            repo_tags: image.repo_tags,
            repo_digests: image.repo_digests.into_iter().filter(|digest| !digest.starts_with("<none>")).collect(),
            size_bytes: u64::try_from(image.size).unwrap_or_default(),
            user: String::new(),
        })
        .collect())
}

/// Imports the image of the cluster's own containers if it is missing.
pub async fn ensure_agent(docker: &Docker) -> Result<(), Error> {
    match docker.inspect_image(AGENT).await {
        Ok(_) => return Ok(()),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(error),
    }
    let theirs = docker.version().await?.arch.unwrap_or_default();
    let ours = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    if theirs != ours {
        return Err(Error::DockerResponseServerError {
            status_code: 501,
            message: format!("this binary runs containers on {ours}, and Docker is on {theirs}: use --runtime sim"),
        });
    }
    let (repository, tag) = AGENT.split_once(':').unwrap_or((AGENT, "latest"));
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(repository)
        .tag(tag)
        .changes(vec!["ENTRYPOINT [\"/playground-agent\"]".to_string()])
        .build();
    let layer = body_full(archive("playground-agent", &crate::assets::unpacked(PROGRAM)).into());
    let mut progress = docker.create_image(Some(options), Some(layer), None).boxed();
    while let Some(step) = progress.next().await {
        step?;
    }
    Ok(())
}

/// A tar archive with one executable: an image's only layer.
fn archive(name: &str, program: &[u8]) -> Vec<u8> {
    const BLOCK_BYTES: usize = 512;
    let mut header = [0_u8; BLOCK_BYTES];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", program.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let checksum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
    let mut out = header.to_vec();
    out.extend_from_slice(program);
    // Padding to a block, then two empty blocks as the archive's end.
    out.resize(out.len().next_multiple_of(BLOCK_BYTES) + 2 * BLOCK_BYTES, 0);
    out
}

fn info(image: ImageInspect) -> ImageInfo {
    ImageInfo {
        id: image.id.unwrap_or_default(),
        repo_tags: image.repo_tags.unwrap_or_default(),
        repo_digests: image.repo_digests.unwrap_or_default(),
        size_bytes: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        user: image.config.and_then(|config| config.user).unwrap_or_default(),
    }
}

fn has_tag(image: &str) -> bool {
    image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

fn unreachable(message: &str) -> bool {
    ["dial tcp", "no such host", "timeout", "connection refused", "network is unreachable"]
        .iter()
        .any(|sign| message.contains(sign))
}

/// The credentials of the image's registry, from the first pull secret that has them.
fn credentials(image: &str, pull_secrets: &[String]) -> Option<DockerCredentials> {
    let first = image.split('/').next().unwrap_or_default();
    let own = image.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let registries: Vec<&str> =
        if own { vec![first] } else { vec![HUB, "docker.io", "index.docker.io", "registry-1.docker.io"] };
    pull_secrets.iter().find_map(|secret| {
        let secret: Value = serde_json::from_str(secret).ok()?;
        let auths = secret.get("auths").unwrap_or(&secret).as_object()?.clone();
        let (_, entry) = auths.into_iter().find(|(registry, _)| {
            let bare = registry.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
            registries.iter().any(|wanted| registry == wanted || bare == *wanted)
        })?;
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_string);
        let decoded = text("auth")
            .and_then(|auth| base64::engine::general_purpose::STANDARD.decode(auth).ok())
            .and_then(|auth| String::from_utf8(auth).ok())
            .and_then(|auth| auth.split_once(':').map(|(user, password)| (user.to_string(), password.to_string())));
        let (username, password) = decoded.or_else(|| Some((text("username")?, text("password")?)))?;
        Some(DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress: Some(if own { first.to_string() } else { HUB.to_string() }),
            ..DockerCredentials::default()
        })
    })
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn a_pull_says_how_far_it_has_come() {
        let mut layers = Layers::default();
        assert_eq!(layers.words(), None);
        let step = |id: &str, status: &str, detail: Option<(i64, i64)>| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: Some(match detail {
                Some((current, total)) => ProgressDetail { current: Some(current), total: Some(total) },
                None => ProgressDetail::default(),
            }),
            ..CreateImageInfo::default()
        };
        layers.note(step("a", "Downloading", Some((10_000_000, 40_000_000))));
        layers.note(step("b", "Downloading", Some((2_500_000, 10_000_000))));
        assert_eq!(layers.words().as_deref(), Some("12.5 MB of 50.0 MB (25%)"));
        layers.note(step("b", "Download complete", None));
        layers.note(step("c", "Already exists", None));
        assert_eq!(layers.words().as_deref(), Some("20.0 MB of 50.0 MB (40%)"));
    }
}
