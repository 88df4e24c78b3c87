//! `playground load`.

use anyhow::{Context, Result, bail};

use super::block_on;
use crate::cli::{Load, Runtime};
use crate::docker;
use crate::home::Home;

/// Nodes on Docker share this machine's images: what Docker has, they have.
///
/// # Errors
/// When Docker does not have an image, or the cluster's nodes are simulated.
pub fn load(what: &Load) -> Result<()> {
    let which = match what {
        Load::DockerImage { which, .. } | Load::ImageArchive { which, .. } => which,
    };
    let home = Home::existing(which)?;
    if home.settings()?.runtime == Some(Runtime::Sim) {
        bail!(
            "the nodes of cluster {:?} are simulated: their images are built-in programs, and none can be loaded",
            home.name
        );
    }
    match what {
        Load::DockerImage { images, .. } => block_on(docker_images(images))?,
        Load::ImageArchive { archive, .. } => {
            let bytes = std::fs::read(archive).with_context(|| format!("cannot read {}", archive.display()))?;
            for line in block_on(docker::load_archive(bytes))?? {
                println!("{line}");
            }
            Ok(())
        }
    }
}

async fn docker_images(images: &[String]) -> Result<()> {
    let mut missing = Vec::new();
    for image in images {
        match docker::image_id(image).await? {
            Some(id) => println!("Image: {image:?} with ID {id:?} found to be already present on all nodes."),
            None => missing.push(format!("image: {image:?} not present locally")),
        }
    }
    if missing.is_empty() { Ok(()) } else { bail!("{}", missing.join("\n")) }
}
