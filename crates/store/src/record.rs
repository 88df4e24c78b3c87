//! Keys and whole stores as bytes: what a host writes to a disk, and what a tab keeps or shares.

use std::sync::Arc;

use bytes::Bytes;

use crate::journal::Contents;
use crate::kv::{KeyValue, Memo};

impl Contents {
    /// Everything as bytes: the revision, the number of leases and they, then the keys, each with its
    /// record. Numbers are little-endian; lengths are u32.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.revision.to_le_bytes());
        out.extend_from_slice(&(self.leases.len() as u32).to_le_bytes());
        for (id, ttl_seconds) in &self.leases {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&ttl_seconds.to_le_bytes());
        }
        for kv in &self.entries {
            for part in [kv.key.as_bytes(), &encode(kv)] {
                out.extend_from_slice(&(part.len() as u32).to_le_bytes());
                out.extend_from_slice(part);
            }
        }
        out
    }

    /// What [`Contents::to_bytes`] has written; `None` for anything else. Leases that keys live with and that
    /// have ended since live `lease_seconds` again.
    pub fn from_bytes(bytes: &[u8], lease_seconds: i64) -> Option<Self> {
        let mut rest = bytes;
        let revision = number(&mut rest)?;
        let mut contents = Self { revision, ..Self::default() };
        for _ in 0..length(&mut rest)? {
            contents.leases.push((number(&mut rest)?, number(&mut rest)?));
        }
        while !rest.is_empty() {
            let key = std::str::from_utf8(part(&mut rest)?).ok()?;
            let kv = decode(key, part(&mut rest)?)?;
            if let Some(id) = kv.lease.filter(|id| !contents.leases.iter().any(|(known, _)| known == id)) {
                contents.leases.push((id, lease_seconds));
            }
            contents.entries.push(Arc::new(kv));
        }
        Some(contents)
    }
}

fn number(rest: &mut &[u8]) -> Option<i64> {
    let (bytes, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(i64::from_le_bytes(*bytes))
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = length(rest)?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

/// A record: create revision, mod revision, version and lease (0: none) as little-endian i64, the
/// trigger's length plus one as u32 (0: none), the trigger, the value.
pub(crate) fn encode(kv: &KeyValue) -> Vec<u8> {
    let trigger = kv.trigger.as_deref();
    let value = kv.value.bytes();
    let mut record = Vec::with_capacity(36 + trigger.map_or(0, str::len) + value.len());
    for number in [kv.create_revision, kv.mod_revision, kv.version, kv.lease.unwrap_or(0)] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    let length = trigger.map_or(0, |trigger| trigger.len() as u32 + 1);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(trigger.unwrap_or_default().as_bytes());
    record.extend_from_slice(&value);
    record
}

pub(crate) fn decode(key: &str, record: &[u8]) -> Option<KeyValue> {
    let mut rest = record;
    let mut number = || {
        let (bytes, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(i64::from_le_bytes(*bytes))
    };
    let (create_revision, mod_revision, version, lease) = (number()?, number()?, number()?, number()?);
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (trigger, value) = rest.split_at_checked(length.saturating_sub(1))?;
    let trigger = std::str::from_utf8(trigger).ok()?;
    Some(KeyValue {
        key: key.into(),
        value: Bytes::copy_from_slice(value).into(),
        create_revision,
        mod_revision,
        version,
        lease: (lease != 0).then_some(lease),
        trigger: (length != 0).then(|| trigger.into()),
        memo: Memo::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let kv = |key: &str, lease| KeyValue {
            key: key.into(),
            value: Bytes::from_static(b"{}").into(),
            create_revision: 2,
            mod_revision: 3,
            version: 2,
            lease,
            trigger: lease.is_none().then(|| "node".into()),
            memo: Memo::default(),
        };
        let entries = vec![Arc::new(kv("/registry/a", None)), Arc::new(kv("/registry/b", Some(9)))];
        let contents = Contents { revision: 7, entries, leases: vec![(5, 60)] };
        let bytes = contents.to_bytes();
        let read = Contents::from_bytes(&bytes, 3_600).unwrap();
        assert_eq!((read.revision, read.leases), (7, vec![(5, 60), (9, 3_600)]));
        assert_eq!(format!("{:?}", read.entries), format!("{:?}", contents.entries));
        assert!(Contents::from_bytes(&bytes[..bytes.len() - 1], 1).is_none());
        assert!(Contents::from_bytes(b"", 1).is_none());
    }
}
