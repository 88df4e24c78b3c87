//! Images in files: `docker save`, `load`, `history`.

use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};
use sim::fs::{Entry, Kind};
use sim::image::Image;
use sim::programs::archive::{self, Writer};
use sim::saved::{Saved, Saver};

use super::super::flags::{Flags, Known};
use super::images::size;
use super::text::columns;
use super::{Code, Run};

/// Where an archive has its images.
const PARTS: &str = "images/";

/// The images of an archive.
///
/// # Errors
/// When it is no archive of images.
pub fn images_of(data: &[u8]) -> Result<Vec<Rc<Image>>, String> {
    let members = archive::read(data).map_err(|error| format!("archive/tar: {error}"))?;
    let part = |(name, entry): (String, Entry)| match entry.kind {
        Kind::File(data) => Some((name.strip_prefix(PARTS)?.to_owned(), Bytes::copy_from_slice(&data))),
        _ => None,
    };
    let images = Image::restore_all(Saved::new(members.into_iter().filter_map(part).collect()));
    match images.is_empty() {
        true => Err("open manifest.json: no such file or directory".into()),
        false => Ok(images.into_iter().map(Rc::new).collect()),
    }
}

impl Run {
    pub(super) async fn save(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("output", 'o', true), ("platform", ' ', true)], usize::MAX)?;
        if flags.words.is_empty() {
            return Err(
                "docker: 'docker save' requires at least 1 argument\n\nUsage:  docker save [OPTIONS] IMAGE [IMAGE...]"
                    .into(),
            );
        }
        if flags.value("output").is_none() && self.process.stdout().tty().is_some() {
            return Err("cowardly refusing to save to a terminal. Use the -o flag or redirect".into());
        }
        let (mut saver, mut manifest) = (Saver::all(), Vec::new());
        for name in &flags.words {
            let image = self.docker.image(name);
            let image = image.ok_or_else(|| format!("Error response from daemon: reference does not exist: {name}"))?;
            let tag = format!("{}:{}", image.reference.familiar(), image.reference.tag);
            manifest.push(json!({"Config": image.id.replace(':', "/"), "RepoTags": [tag], "Layers": [image.digest]}));
            image.save(&mut saver);
        }
        let (mut archive, now) = (Writer::default(), self.now());
        archive.add("manifest.json", &Entry::file(Value::Array(manifest).to_string(), now));
        for (name, bytes) in saver.finish().1 {
            archive.add(&format!("{PARTS}{name}"), &Entry::file(bytes, now));
        }
        let archive = archive.finish();
        match flags.value("output") {
            None => self.print(archive).await,
            Some(file) => {
                let written = self.process.fs().write(&self.process.path(file), archive, now);
                written.map_err(|_| {
                    format!("failed to save image: invalid output path: directory {file:?} does not exist")
                })?;
                Ok(0)
            }
        }
    }

    pub(super) async fn load(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[("input", 'i', true), ("quiet", 'q', false), ("platform", ' ', true)];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let data = match flags.value("input") {
            Some(file) => {
                let data = self.process.fs().read(&self.process.path(file));
                data.map_err(|_| format!("open {file}: no such file or directory"))?
            }
            None if self.process.stdin().tty().is_some() => {
                return Err("requested load from stdin, but stdin is empty".into());
            }
            None => self.process.stdin().read_to_end().await.unwrap_or_default().into(),
        };
        let images = images_of(&data).map_err(|error| format!("Error response from daemon: {error}"))?;
        for image in images {
            self.docker.put_image(image.clone());
            let (familiar, tag) = (image.reference.familiar(), &image.reference.tag);
            self.process.print(format!("Loaded image: {familiar}:{tag}\n")).await;
        }
        Ok(0)
    }

    /// What an image's configuration says of how it was made; its files are one layer.
    pub(super) async fn history(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] =
            &[("no-trunc", ' ', false), ("quiet", 'q', false), ("human", 'H', false), ("format", ' ', true)];
        const SHOWN: usize = 45;
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let name = flags.word(0);
        if name.is_empty() {
            return Err("docker: 'docker history' requires 1 argument\n\nUsage:  docker history [OPTIONS] IMAGE".into());
        }
        let image = self.docker.image(name);
        let image = image.ok_or_else(|| format!("Error response from daemon: No such image: {name}"))?;
        let mut steps = Vec::new();
        if !image.cmd.is_empty() {
            steps.push((format!("CMD [{}]", quoted(&image.cmd)), 0));
        }
        steps.extend(image.ports.iter().map(|port| (format!("EXPOSE [{port}/tcp]"), 0)));
        if !image.entrypoint.is_empty() {
            steps.push((format!("ENTRYPOINT [{}]", quoted(&image.entrypoint)), 0));
        }
        if !image.working_dir.is_empty() {
            steps.push((format!("WORKDIR {}", image.working_dir), 0));
        }
        steps.extend(image.env.iter().rev().map(|(name, value)| (format!("ENV {name}={value}"), 0)));
        steps.push(("COPY / / # buildkit".into(), image.size_bytes));
        let whole = flags.is_on("no-trunc");
        let id = image.id.trim_start_matches("sha256:");
        let id: String = if whole { image.id.clone() } else { id.chars().take(12).collect() };
        let rows: Vec<Vec<String>> = steps
            .into_iter()
            .enumerate()
            .map(|(at, (step, bytes))| {
                let step = match step.chars().count() > SHOWN && !whole {
                    true => step.chars().take(SHOWN - 1).chain(['…']).collect(),
                    false => step,
                };
                let id = if at == 0 { id.clone() } else { "<missing>".to_owned() };
                vec![id, "2 weeks ago".into(), step, size(bytes), "buildkit.dockerfile.v0".into()]
            })
            .collect();
        if flags.is_on("quiet") {
            return self
                .print(rows.iter().filter_map(|row| row.first()).map(|id| format!("{id}\n")).collect::<String>())
                .await;
        }
        if let Some(format) = flags.value("format").filter(|format| !format.starts_with("table")) {
            let fields = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
            let of = |row: &Vec<String>| {
                fields.iter().zip(row).map(|(field, text)| ((*field).to_owned(), json!(text))).collect()
            };
            return self.fill(format, rows.iter().map(of).collect()).await;
        }
        let head = ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"].map(str::to_owned).to_vec();
        self.print(columns(&[vec![head], rows].concat())).await
    }
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")
}
