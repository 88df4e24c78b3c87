//! POSIX `ustar` archives, as far as `cp` needs them: files and folders.

/// One name in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path, without a slash at its end.
    pub path: String,
    /// What is in a file; `None` for a folder.
    pub content: Option<Vec<u8>>,
}

const BLOCK_BYTES: usize = 512;
const NAME_BYTES_MAX: usize = 100;
const PREFIX_BYTES_MAX: usize = 155;
const FOLDER: u8 = b'5';
const FILE: u8 = b'0';

/// Adds a member at an archive's end. False if its path is too long for the format.
pub fn append(archive: &mut Vec<u8>, member: &Member) -> bool {
    let path = if member.content.is_none() { format!("{}/", member.path) } else { member.path.clone() };
    let (prefix, name) = match path.len() <= NAME_BYTES_MAX {
        true => ("", path.as_str()),
        false => {
            let fits = |at: &usize| *at <= PREFIX_BYTES_MAX && path.len() - at - 1 <= NAME_BYTES_MAX;
            let at = path.match_indices('/').map(|(at, _)| at).find(fits);
            match at.and_then(|at| path.split_at_checked(at)) {
                Some((prefix, name)) => (prefix, name.trim_start_matches('/')),
                None => return false,
            }
        }
    };
    let content = member.content.as_deref().unwrap_or_default();
    let (mode, kind) = if member.content.is_none() { (0o755, FOLDER) } else { (0o644, FILE) };
    let mut head = [0_u8; BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| {
        for (slot, byte) in head.iter_mut().skip(at).zip(bytes) {
            *slot = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    for (slot, byte) in head.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *slot = byte;
    }
    archive.extend_from_slice(&head);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
    true
}

/// Whether an archive has its end: two blocks of nothing.
pub fn is_whole(archive: &[u8]) -> bool {
    let end = archive.len().checked_sub(2 * BLOCK_BYTES).and_then(|at| archive.get(at..));
    end.is_some_and(|end| end.iter().all(|byte| *byte == 0))
}

/// Ends an archive.
pub fn finish(archive: &mut Vec<u8>) {
    archive.resize(archive.len() + 2 * BLOCK_BYTES, 0);
}

/// The members of an archive, as far as it can be read.
pub fn members(mut archive: &[u8]) -> Vec<Member> {
    let mut found = Vec::new();
    let mut long_name = None;
    while let Some((head, rest)) = archive.split_at_checked(BLOCK_BYTES) {
        if head.iter().all(|byte| *byte == 0) {
            break;
        }
        let text = |from: usize, length: usize| {
            let field = head.get(from..from + length).unwrap_or_default();
            String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default()).trim().to_owned()
        };
        let Ok(size) = usize::from_str_radix(&text(124, 12), 8) else { break };
        let Some(content) = rest.get(..size) else { break };
        archive = rest.get(size.next_multiple_of(BLOCK_BYTES)..).unwrap_or_default();
        let name = match text(345, PREFIX_BYTES_MAX) {
            prefix if prefix.is_empty() => text(0, NAME_BYTES_MAX),
            prefix => format!("{prefix}/{}", text(0, NAME_BYTES_MAX)),
        };
        let kind = head.get(156).copied().unwrap_or(FILE);
        // GNU's long names go before the member that they name.
        if kind == b'L' {
            long_name = Some(String::from_utf8_lossy(content).trim_end_matches('\0').to_owned());
            continue;
        }
        let path = long_name.take().unwrap_or(name).trim_end_matches('/').to_owned();
        match kind {
            FOLDER => found.push(Member { path, content: None }),
            FILE | 0 => found.push(Member { path, content: Some(content.to_vec()) }),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let members = [
            Member { path: "a".into(), content: None },
            Member { path: format!("a/{}/file", "long".repeat(30)), content: Some(b"text".to_vec()) },
            Member { path: "a/empty".into(), content: Some(Vec::new()) },
        ];
        let mut archive = Vec::new();
        assert!(members.iter().all(|member| append(&mut archive, member)));
        finish(&mut archive);
        assert_eq!(super::members(&archive), members);
        assert_eq!(super::members(b"not an archive"), []);
    }
}
