//! What is saved of the simulated world: its disks and what its runtimes remember, in named parts.
//!
//! A part is bytes under a path, such as `node/hello-worker/host`. Whoever saves ([`Saver`]) is visited by all that has
//! something to keep; a part's version says whether it has changed, so that a host that keeps parts one by one writes
//! only what is new. Whoever goes on ([`Saved`]) takes its parts back. Processes are in none of them: where a saved
//! world goes on, its machines have just been switched on.

use bytes::Bytes;
use machinery::random::fnv64a;
use machinery::sort::Order;

/// Parts' names with their versions, in order of names.
pub type Versions = Vec<(String, u64)>;

/// Which parts' bytes are wanted.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    All,
    None,
    /// Those that have another version.
    Changed(&'a Versions),
}

/// Collects the parts of what is visited.
pub struct Saver<'a> {
    wanted: Wanted<'a>,
    folder: String,
    versions: Versions,
    parts: Vec<(String, Vec<u8>)>,
}

impl<'a> Saver<'a> {
    fn new(wanted: Wanted<'a>) -> Self {
        Self { wanted, folder: String::new(), versions: Vec::new(), parts: Vec::new() }
    }

    /// For all parts.
    pub fn all() -> Self {
        Self::new(Wanted::All)
    }

    /// For the parts that have changed since some versions.
    pub fn changed(since: &'a Versions) -> Self {
        Self::new(Wanted::Changed(since))
    }

    /// For the versions alone.
    pub fn versions() -> Self {
        Self::new(Wanted::None)
    }

    /// A part, whose bytes are made if they are wanted.
    pub fn part(&mut self, name: &str, version: u64, write: &dyn Fn() -> Vec<u8>) {
        let name = format!("{}{name}", self.folder);
        let wanted = match self.wanted {
            Wanted::All => true,
            Wanted::None => false,
            Wanted::Changed(since) => {
                let known = since.binary_search_by(|(known, _)| known.as_str().cmp(&name));
                known.ok().and_then(|at| since.get(at)).is_none_or(|(_, known)| *known != version)
            }
        };
        if wanted {
            self.parts.push((name.clone(), write()));
        }
        self.versions.push((name, version));
    }

    /// A small part, whose version is its content.
    pub fn small(&mut self, name: &str, bytes: Vec<u8>) {
        self.part(name, fnv64a(&bytes), &|| bytes.clone());
    }

    /// Visits something whose parts are in a folder of their own.
    pub fn within(&mut self, folder: &str, visit: &mut dyn FnMut(&mut Self)) {
        let before = self.folder.len();
        self.folder.push_str(folder);
        self.folder.push('/');
        visit(self);
        self.folder.truncate(before);
    }

    /// The versions of all that was visited, and the parts that were wanted.
    pub fn finish(mut self) -> (Versions, Vec<(String, Vec<u8>)>) {
        self.versions.order_by(|(one, _), (other, _)| one.cmp(other));
        (self.versions, self.parts)
    }
}

/// Saved parts, to be taken by whoever goes on from them: in the order of their names, none where one was taken.
#[derive(Clone, Debug, Default)]
pub struct Saved(Vec<(String, Option<Bytes>)>);

impl Saved {
    /// Parts by name.
    pub fn new(parts: Vec<(String, Bytes)>) -> Self {
        let mut parts: Vec<(String, Option<Bytes>)> =
            parts.into_iter().map(|(name, bytes)| (name, Some(bytes))).collect();
        parts.order_by(|(one, _), (other, _)| one.cmp(other));
        Self(parts)
    }

    /// All parts in bytes: each one's name and content, each with its length before it.
    pub fn write(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, bytes) in parts {
            put(&mut out, name.as_bytes());
            put(&mut out, bytes);
        }
        out
    }

    /// What [`Saved::write`] has written; none for anything else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (mut rest, mut parts) = (bytes, Vec::new());
        while !rest.is_empty() {
            let name = std::str::from_utf8(take(&mut rest)?).ok()?.to_owned();
            parts.push((name, Bytes::copy_from_slice(take(&mut rest)?)));
        }
        Some(Self::new(parts))
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, bytes)| bytes.is_none())
    }

    /// Takes a part.
    pub fn take(&mut self, name: &str) -> Option<Bytes> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.0.get_mut(at)?.1.take()
    }

    /// Takes the parts in a folder, whose names are without it then.
    pub fn take_folder(&mut self, folder: &str) -> Self {
        let prefix = format!("{folder}/");
        let start = self.0.partition_point(|(name, _)| *name < prefix);
        let inside = self.0.get_mut(start..).unwrap_or_default().iter_mut();
        let inside = inside.take_while(|(name, _)| name.starts_with(&prefix));
        let taken =
            inside.filter_map(|(name, bytes)| Some((name.get(prefix.len()..)?.to_owned(), Some(bytes.take()?))));
        Self(taken.collect())
    }

    /// The names directly below the top: of parts and folders, each once, in order.
    pub fn names(&self) -> Vec<String> {
        let there = self.0.iter().filter(|(_, bytes)| bytes.is_some());
        let mut names: Vec<String> = there.filter_map(|(name, _)| name.split('/').next()).map(str::to_owned).collect();
        names.order_by(|one, other| one.cmp(other));
        names.dedup();
        names
    }

    /// Visits the parts again, for who saves before they were taken.
    pub fn save(&self, saver: &mut Saver<'_>) {
        for (name, bytes) in self.0.iter().filter_map(|(name, bytes)| Some((name, bytes.as_ref()?))) {
            saver.part(name, 0, &|| bytes.to_vec());
        }
    }
}

/// Adds bytes with their length before them, a little-endian u32.
pub(crate) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Takes what [`put`] has added; none where it is cut.
pub(crate) fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(saver: &mut Saver<'_>, second: u64) {
        saver.part("a", 1, &|| b"one".to_vec());
        saver.within("node", &mut |saver| saver.part("b", second, &|| b"two".to_vec()));
    }

    #[test]
    fn parts_are_written_when_they_change_and_come_back() {
        let mut saver = Saver::all();
        visit(&mut saver, 1);
        let (versions, parts) = saver.finish();
        let mut saver = Saver::changed(&versions);
        visit(&mut saver, 2);
        let (_, changed) = saver.finish();
        assert_eq!(changed, [("node/b".to_owned(), b"two".to_vec())]);
        let bytes = Saved::write(&parts);
        let mut saved = Saved::read(&bytes).unwrap();
        assert_eq!(saved.names(), ["a", "node"]);
        assert_eq!(saved.take_folder("node").take("b").unwrap(), "two");
        assert_eq!(saved.take("a").unwrap(), "one");
        assert!(saved.is_empty());
        assert!(Saved::read(&bytes[..bytes.len() - 1]).is_none());
    }
}
