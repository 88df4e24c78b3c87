//! Seeded randomness, and hashes that give the same on every machine.

use rand::{Rng as _, RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Characters of generated names: no vowels, no digits that look like letters.
const SAFE_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A source of random values that gives the same ones for the same seed.
#[derive(Clone, Debug)]
pub struct Rng(Pcg64Mcg);

impl Rng {
    /// A source from its seed.
    pub fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    /// A source of its own for a component: what one draws does not shift what others draw.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// A number in `start..end`; `start` where the range is empty.
    pub fn range(&mut self, start: u64, end: u64) -> u64 {
        start + self.below(end.saturating_sub(start))
    }

    /// True `numerator` times out of `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// A number between `value` and `value * (1 + factor_percent / 100)`, as `wait.Jitter` gives.
    pub fn jitter(&mut self, value: u64, factor_percent: u64) -> u64 {
        value + self.below((value.saturating_mul(factor_percent) / 100).saturating_add(1))
    }

    /// The end of a generated name: `n` characters of Kubernetes' safe alphabet.
    pub fn suffix(&mut self, n: usize) -> String {
        (0..n).map(|_| safe_character(self.below(SAFE_ALPHABET.len() as u64))).collect()
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let bits = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }

    /// Random bytes, for tokens and keys of the simulated world.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// One of the items; `None` of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or_default())
    }

    /// Brings items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let other = self.below(index as u64 + 1) as usize;
            items.swap(index, other);
        }
    }
}

fn safe_character(number: u64) -> char {
    char::from(SAFE_ALPHABET[(number % SAFE_ALPHABET.len() as u64) as usize])
}

/// Text in the safe alphabet, as `pod-template-hash` has the hash's decimal digits.
pub fn safe_encode(text: &str) -> String {
    text.chars().map(|c| safe_character(u64::from(u32::from(c)))).collect()
}

/// FNV-1a, 32 bits.
pub fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// FNV-1, 32 bits.
pub fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte))
}

/// FNV-1a, 64 bits.
pub fn fnv64a(bytes: &[u8]) -> u64 {
    fnv64a_on(0xcbf2_9ce4_8422_2325, bytes)
}

/// Goes on with a hash: that of what was hashed and these bytes, one behind the other.
pub fn fnv64a_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_values() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        assert_eq!(a.uuid(), b.uuid());
        assert_eq!(a.suffix(5), b.suffix(5));
        assert_eq!(a.uuid().as_bytes()[14], b'4');
        assert!(a.suffix(100).bytes().all(|byte| SAFE_ALPHABET.contains(&byte)));
        assert!((10..=15).contains(&a.jitter(10, 50)));
    }

    #[test]
    fn hashes_are_fnv() {
        assert_eq!(fnv32a(b"a"), 0xe40c_292c);
        assert_eq!(fnv32(b"a"), 0x050c_5d7e);
        assert_eq!(fnv64a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
