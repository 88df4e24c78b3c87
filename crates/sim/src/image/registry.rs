//! Where images come from: every registry of the simulated world in one table.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use kubelet::runtime::{ErrorCode, RuntimeError};
use machinery::Timestamp;
use machinery::random::Rng;

use super::base::Base;
use super::catalog::{GENERIC, ROWS, Row};
use super::{Image, Reference, STANDS_IN};
use crate::fs::{Entry, Tree};
use crate::saved::{Saved, Saver};

/// A failed pull, in containerd's words.
pub type PullError = RuntimeError;

/// Words in a name that ask for an image to be missing, for lessons about failing pulls.
const MISSING: [&str; 10] = [
    "does-not-exist",
    "doesnotexist",
    "doesntexist",
    "nosuch",
    "no-such",
    "nonexist",
    "non-exist",
    "notfound",
    "not-found",
    "missing",
];

/// The registries. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Registry(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// Images made here, or already looked up, by full name.
    images: BTreeMap<String, Rc<Image>>,
    /// The names of those that people have made.
    pushed: Vec<String>,
    /// Registries that do not answer, by host name.
    outages: BTreeMap<String, ()>,
}

/// A reference, and how the errors begin that say that it is not to be had.
fn parsed(image: &str) -> Result<(Reference, String), PullError> {
    let reference = Reference::parse(image).map_err(|error| {
        let message = format!("couldn't parse image name {image:?}: {error}");
        RuntimeError::new(ErrorCode::InvalidImageName, message)
    })?;
    let name = reference.to_string();
    let head = format!("failed to pull and unpack image {name:?}: failed to resolve reference {name:?}");
    Ok((reference, head))
}

impl Registry {
    /// Registries with the built-in images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image that is there in every world, or replaces the one of its name.
    pub fn publish(&self, image: Image) {
        self.0.borrow_mut().images.insert(image.reference.to_string(), Rc::new(image));
    }

    /// Adds an image that somebody has made, or replaces the one of its name.
    pub fn push(&self, image: Image) {
        let name = image.reference.to_string();
        let mut state = self.0.borrow_mut();
        if !state.pushed.contains(&name) {
            state.pushed.push(name.clone());
        }
        state.images.insert(name, Rc::new(image));
    }

    /// Whether it has this very image, so that its name is enough to find it again.
    pub fn has(&self, image: &Rc<Image>) -> bool {
        self.built(&image.reference.to_string()).is_ok_and(|known| known.id == image.id)
    }

    /// Visits the images that people have made.
    pub fn save(&self, saver: &mut Saver<'_>) {
        let state = self.0.borrow();
        for image in state.pushed.iter().filter_map(|name| state.images.get(name)) {
            image.save(saver);
        }
    }

    /// Adds them again.
    pub fn restore(&self, saved: Saved) {
        Image::restore_all(saved).into_iter().for_each(|image| self.push(image));
    }

    /// Lets a registry fail, or answer again.
    pub fn set_outage(&self, registry: &str, down: bool) {
        let mut state = self.0.borrow_mut();
        if down {
            state.outages.insert(registry.to_owned(), ());
        } else {
            state.outages.remove(registry);
        }
    }

    /// Finds an image by its reference in a pod's spec.
    ///
    /// # Errors
    /// When the reference is malformed, the registry does not exist or answer, or it has no such image:
    /// with containerd's message.
    pub fn pull(&self, image: &str) -> Result<Rc<Image>, PullError> {
        let (reference, head) = parsed(image)?;
        let registry = &reference.registry;
        let host = registry.split(':').next().unwrap_or_default();
        if host.ends_with(".invalid") || self.0.borrow().outages.contains_key(registry) {
            let server = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
            let target = if reference.tag.is_empty() {
                reference.digest.clone().unwrap_or_default()
            } else {
                reference.tag.clone()
            };
            let cause = if host.ends_with(".invalid") {
                format!("dial tcp: lookup {host}: no such host")
            } else {
                "net/http: TLS handshake timeout".to_owned()
            };
            let request = format!("Head \"https://{server}/v2/{}/manifests/{target}\"", reference.repository);
            let message = format!("rpc error: code = Unknown desc = {head}: failed to do request: {request}: {cause}");
            return Err(RuntimeError::new(ErrorCode::Unknown, message));
        }
        self.built(image)
    }

    /// As [`Registry::pull`], whether the registry answers or not.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn built(&self, image: &str) -> Result<Rc<Image>, PullError> {
        let (reference, head) = parsed(image)?;
        let name = reference.to_string();
        if let Some(known) = self.0.borrow().images.get(&name) {
            return Ok(known.clone());
        }
        let not_found = || {
            let message = format!("rpc error: code = NotFound desc = {head}: {name}: not found");
            RuntimeError::new(ErrorCode::NotFound, message)
        };
        let asked_to_miss = |text: &str| MISSING.iter().any(|word| text.contains(word));
        let row = ROWS.iter().find(|row| row.names.contains(&reference.name().as_str()));
        let (row, version) = match row {
            _ if asked_to_miss(&reference.tag) => return Err(not_found()),
            Some(row) => (row, row.tags.version(&reference.tag).ok_or_else(not_found)?),
            None if asked_to_miss(&reference.repository) || is_misspelt(&reference.name()) => {
                let message = format!(
                    "rpc error: code = Unknown desc = {head}: pull access denied, repository does not exist or may \
                     require authorization: server message: insufficient_scope: authorization failed"
                );
                return Err(RuntimeError::new(ErrorCode::Unknown, message));
            }
            None => (&GENERIC, reference.tag.clone()),
        };
        let image = Rc::new(build(row, reference, &version));
        self.0.borrow_mut().images.insert(name, image.clone());
        Ok(image)
    }
}

/// Whether a name is that of a built-in image but for one letter too many, too few or another, or two that are swapped:
/// what a person meant who typed it, so that nothing answers to `ngnix`.
fn is_misspelt(name: &str) -> bool {
    ROWS.iter().flat_map(|row| row.names).any(|known| {
        let (a, b) = (name.as_bytes(), known.as_bytes());
        let begin = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let end = a[begin..].iter().rev().zip(b[begin..].iter().rev()).take_while(|(a, b)| a == b).count();
        match (&a[begin..a.len() - end], &b[begin..b.len() - end]) {
            ([_], [_] | []) | ([], [_]) => true,
            ([first, second], [third, fourth]) => first == fourth && second == third,
            _ => false,
        }
    })
}

/// Makes a built-in image.
fn build(row: &Row, reference: Reference, version: &str) -> Image {
    // A fixed day, so that files and digests are the same in every cluster.
    let time = Timestamp::constant(1_735_689_600, 0);
    let mut tree: Tree = row.base.tree(time);
    for (path, program) in row.programs {
        tree.insert(path, Entry::program(program, time));
    }
    // busybox' nslookup was another one before 1.29.
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if row.base == Base::Busybox && minor.is_some_and(|minor| minor < 29) {
        tree.insert("/bin/nslookup", Entry::program("nslookup-old", time));
    }
    (row.files)(&mut tree, time);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut env: Vec<(String, String)> =
        row.env.iter().map(|(name, value)| ((*name).to_owned(), value.replace("{version}", version))).collect();
    if row.names.is_empty() {
        env.push((STANDS_IN.into(), reference.to_string()));
    }
    let mut rng = Rng::new(machinery::random::fnv64a(reference.to_string().as_bytes()));
    Image {
        id: digest(&mut rng),
        digest: reference.digest.clone().unwrap_or_else(|| digest(&mut rng)),
        reference,
        entrypoint: words(row.entrypoint),
        cmd: words(row.cmd),
        env,
        working_dir: row.working_dir.into(),
        user: row.user.into(),
        ports: row.ports.to_vec(),
        layer: Rc::new(tree),
        size_bytes: row.size_mb * 1_000_000,
        memory_bytes: row.memory_mib << 20,
        cpu_nano_cores: 100_000,
        stop_signal: row.stop_signal,
    }
}

fn digest(rng: &mut Rng) -> String {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_a_registrys() {
        let registry = Registry::new();
        let message = |image: &str| registry.pull(image).unwrap_err().message;
        assert_eq!(
            message("nginx:does-not-exist"),
            "rpc error: code = NotFound desc = failed to pull and unpack image \
             \"docker.io/library/nginx:does-not-exist\": failed to resolve reference \
             \"docker.io/library/nginx:does-not-exist\": docker.io/library/nginx:does-not-exist: not found"
        );
        for name in ["nosuchimage", "ngnix", "nginxx", "ngin", "busibox", "registry.k8s.io/puase:3.9"] {
            assert!(message(name).ends_with("insufficient_scope: authorization failed"), "{name}");
        }
        for name in ["nginx", "my/nginx", "vote", "registry.k8s.io/pause:3.9"] {
            assert!(registry.pull(name).is_ok(), "{name}");
        }
        assert!(
            message("registry.invalid/a:1").contains("Head \"https://registry.invalid/v2/a/manifests/1\": dial tcp")
        );
        assert_eq!(registry.pull("Bad Name").unwrap_err().code, ErrorCode::InvalidImageName);
        registry.set_outage("docker.io", true);
        assert!(message("nginx").ends_with("TLS handshake timeout"));
    }

    #[test]
    fn every_row_builds_and_is_always_the_same() {
        for row in ROWS {
            let name = format!("{}:latest", row.names[0]);
            let tag = if matches!(row.tags, super::super::catalog::Tags::Any) { name } else { row.names[0].to_owned() };
            let image = Registry::new().pull(&tag).unwrap();
            assert_eq!(image.id, Registry::new().pull(&tag).unwrap().id);
            for (path, program) in row.programs {
                assert!(image.layer.get(path).is_some());
                assert!(crate::programs::find(program).is_some(), "{program}");
            }
        }
    }
}
