//! Images: `docker images`, `pull`, `push`, `tag`, `rmi`.

use std::rc::Rc;
use std::time::Duration;

use kubelet::runtime::RuntimeError;
use serde_json::Map;
use sim::image::{Image, Reference};
use sim::io::Fd;

use super::super::flags::{Flags, Known};
use super::text::columns;
use super::{Code, PULL_BYTES_PER_SECOND, Run};

impl Run {
    pub(super) async fn images(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] =
            &[("quiet", 'q', false), ("all", 'a', false), ("digests", ' ', false), ("format", ' ', true)];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let mut table = vec![["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"].map(str::to_owned).to_vec()];
        for image in self.docker.0.runtime.images() {
            let name = image.reference.familiar();
            let wanted = flags.word(0);
            if !wanted.is_empty() && wanted != name && wanted != format!("{name}:{}", image.reference.tag) {
                continue;
            }
            let id: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
            table.push(vec![name, image.reference.tag.clone(), id, "2 weeks ago".into(), size(image.size_bytes)]);
        }
        if let Some(format) = flags.value("format").filter(|format| !format.starts_with("table")) {
            let of = |row: &Vec<String>| {
                let fields = ["Repository", "Tag", "ID", "CreatedSince", "Size"].into_iter().zip(row);
                fields.map(|(field, text)| (field.to_owned(), text.as_str().into())).collect::<Map<_, _>>().into()
            };
            return self.fill(format, table.iter().skip(1).map(of).collect()).await;
        }
        if flags.is_on("quiet") {
            let ids: String = table.iter().skip(1).filter_map(|row| row.get(2)).map(|id| format!("{id}\n")).collect();
            return self.print(ids).await;
        }
        self.print(columns(&table)).await
    }

    pub(super) async fn pull(&self, words: &[String]) -> Code {
        let flags = Flags::parse(
            words,
            &[("quiet", 'q', false), ("platform", ' ', true), ("all-tags", 'a', false)],
            usize::MAX,
        )?;
        let name = flags.word(0);
        if name.is_empty() {
            return Err(
                "docker: 'docker pull' requires 1 argument\n\nUsage:  docker pull [OPTIONS] NAME[:TAG|@DIGEST]".into(),
            );
        }
        let told = Some(self.process.stdout()).filter(|_| !flags.is_on("quiet"));
        if let Some(told) = &told
            && !name.contains(':')
        {
            let _ = told.write_all(b"Using default tag: latest\n").await;
        }
        let image = self.pull_image(name, told.as_ref()).await?;
        self.print(format!("{}\n", image.reference)).await
    }

    /// Fetches an image anew, and tells of it to somebody.
    pub(super) async fn pull_image(&self, name: &str, told: Option<&Fd>) -> Result<Rc<Image>, String> {
        let say = async |text: String| {
            if let Some(told) = told {
                // Nobody reads it any more: the pull goes on.
                let _ = told.write_all(text.as_bytes()).await;
            }
        };
        let reference = Reference::parse(name)?;
        let known = self.docker.image(name).is_some();
        let image = self.docker.0.clusters.registry().pull(name).map_err(|error| pull_error(name, &error))?;
        say(format!("{}: Pulling from {}\n", reference.tag, reference.repository)).await;
        if !known {
            self.process.sleep(Duration::from_millis(image.size_bytes * 1000 / PULL_BYTES_PER_SECOND)).await;
            let layer: String = image.digest.trim_start_matches("sha256:").chars().take(12).collect();
            say(format!("{layer}: Pull complete\n")).await;
        }
        self.docker.put_image(image.clone());
        let status = if known { "Image is up to date for" } else { "Downloaded newer image for" };
        let familiar = format!("{}:{}", reference.familiar(), reference.tag);
        say(format!("Digest: {}\nStatus: {status} {familiar}\n", image.digest)).await;
        Ok(image)
    }

    pub(super) async fn push(&self, words: &[String]) -> Code {
        let name = words.first().ok_or("docker: 'docker push' requires 1 argument")?;
        let reference = Reference::parse(name)?;
        let image = self
            .docker
            .image(name)
            .ok_or_else(|| format!("An image does not exist locally with the tag: {}", reference.familiar()))?;
        self.docker.0.clusters.registry().push((*image).clone());
        self.print(format!(
            "The push refers to repository [{}]\n{}: digest: {} size: 1570\n",
            reference.name(),
            reference.tag,
            image.digest
        ))
        .await
    }

    pub(super) async fn tag(&self, words: &[String]) -> Code {
        let [source, target] = words else { return Err("docker: 'docker tag' requires 2 arguments".into()) };
        let image = self.docker.image(source);
        let image = image.ok_or_else(|| format!("Error response from daemon: No such image: {source}"))?;
        let reference = Reference::parse(target)
            .map_err(|error| format!("Error parsing reference: {target:?} is not a valid repository/tag: {error}"))?;
        self.docker.put_image(Rc::new(Image { reference, ..(*image).clone() }));
        Ok(0)
    }

    pub(super) async fn remove_images(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("force", 'f', false)], usize::MAX)?;
        for name in &flags.words {
            let image = self.docker.image(name);
            let image = image.ok_or_else(|| format!("Error response from daemon: No such image: {name}"))?;
            self.docker.0.runtime.remove_image(&image.reference.to_string());
            let familiar = format!("{}:{}", image.reference.familiar(), image.reference.tag);
            self.process.print(format!("Untagged: {familiar}\nDeleted: {}\n", image.id)).await;
        }
        Ok(0)
    }
}

pub(super) fn pull_error(name: &str, error: &RuntimeError) -> String {
    let reference = Reference::parse(name).map(|reference| (reference.familiar(), reference.tag));
    let (familiar, tag) = reference.unwrap_or_default();
    if error.message.contains("insufficient_scope") {
        return format!(
            "Error response from daemon: pull access denied for {familiar}, repository does not exist or may require \
             'docker login'"
        );
    }
    if error.message.ends_with("not found") {
        return format!(
            "Error response from daemon: manifest for {familiar}:{tag} not found: manifest unknown: manifest unknown"
        );
    }
    format!("Error response from daemon: {}", error.message.rsplit("desc = ").next().unwrap_or_default())
}

/// Bytes, roughly.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes}B"),
        1_000..1_000_000 => format!("{}.{}kB", bytes / 1_000, bytes % 1_000 / 100),
        1_000_000..1_000_000_000 => format!("{}MB", bytes / 1_000_000),
        _ => format!("{}.{}GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}
