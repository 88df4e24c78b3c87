//! An order in which like stands beside like: balanced partitioning, as in "Compressing Graphs and Indexes with
//! Recursive Graph Bisection" (Dhulipala and others, 2016) and LLVM's `BalancedPartitioning`.

/// So many bytes in a row are what texts share.
const SHINGLE_BYTES: usize = 6;

/// Shingles are numbers below this.
const SHINGLES: usize = 1 << 20;

/// Fewer texts than this stay in the order they have.
const FEW: usize = 8;

/// How often halves are made better.
const ROUNDS: usize = 12;

/// The places of some texts in an order in which texts that share much are near each other.
pub fn alike(texts: &[Vec<u8>]) -> Vec<usize> {
    let shingles: Vec<Vec<u32>> = shared(texts.iter().map(|text| shingles(text)).collect());
    let value = (0..=texts.len() + 1).map(|count| count as f32 * (count as f32 + 1.0).log2()).collect();
    let mut order: Vec<usize> = (0..texts.len()).collect();
    Halver { shingles, value, counts: vec![[0, 0]; SHINGLES] }.partition(&mut order);
    order
}

/// The different shingles of a text, hashed.
fn shingles(text: &[u8]) -> Vec<u32> {
    let hash = |bytes: &[u8]| {
        let hash = bytes.iter().fold(0_u64, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) + u64::from(*byte));
        let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 44) as u32
    };
    let mut all: Vec<u32> = text.windows(SHINGLE_BYTES).map(hash).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Those shingles by which texts differ: not of one alone, nor of most.
fn shared(mut all: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
    let mut counts = vec![0_usize; SHINGLES];
    for shingle in all.iter().flatten() {
        counts[*shingle as usize] += 1;
    }
    let most = (all.len() / 4).max(2);
    for shingles in &mut all {
        shingles.retain(|shingle| (2..=most).contains(&counts[*shingle as usize]));
    }
    all
}

/// Puts texts into two halves again and again, so that each shingle is mostly in one of them.
struct Halver {
    shingles: Vec<Vec<u32>>,
    /// What it is worth that a shingle is so many times in a half.
    value: Vec<f32>,
    /// How many texts of each half have a shingle; zero between rounds.
    counts: Vec<[u32; 2]>,
}

impl Halver {
    fn partition(&mut self, texts: &mut [usize]) {
        if texts.len() <= FEW {
            return;
        }
        let middle = texts.len() / 2;
        for round in 0..ROUNDS {
            let (left, right) = texts.split_at_mut(middle);
            if !self.improve(left, right, round) {
                break;
            }
        }
        let (left, right) = texts.split_at_mut(middle);
        // Texts keep the order they had within a half: an improvement sorts by gain.
        left.sort_unstable();
        right.sort_unstable();
        self.partition(left);
        self.partition(right);
    }

    /// Swaps texts between two halves as long as that gains anything. Says whether it did.
    fn improve(&mut self, left: &mut [usize], right: &mut [usize], round: usize) -> bool {
        for (side, texts) in [&*left, &*right].into_iter().enumerate() {
            for shingle in texts.iter().flat_map(|text| &self.shingles[*text]) {
                self.counts[*shingle as usize][side] += 1;
            }
        }
        let left_gains = self.by_gain(left, 0);
        let right_gains = self.by_gain(right, 1);
        for shingle in left.iter().chain(&*right).flat_map(|text| &self.shingles[*text]) {
            self.counts[*shingle as usize] = [0, 0];
        }
        let gaining = left_gains.iter().zip(&right_gains).take_while(|(one, other)| *one + *other > 0.0).count();
        // Not all at once: two texts that are alike would change places for ever.
        let swapped = if round == 0 { gaining } else { (gaining * 7).div_ceil(10) };
        left[..swapped].swap_with_slice(&mut right[..swapped]);
        swapped > 0
    }

    /// Sorts the texts of a half by what it gains to move them to the other half, the most first. Returns the gains.
    fn by_gain(&self, texts: &mut [usize], side: usize) -> Vec<f32> {
        let value = |count: u32| self.value[count as usize];
        let gain = |text: usize| -> f32 {
            let moved = self.shingles[text].iter().map(|shingle| {
                let counts = self.counts[*shingle as usize];
                let (here, there) = (counts[side], counts[1 - side]);
                value(here - 1) + value(there + 1) - value(here) - value(there)
            });
            moved.sum()
        };
        let mut gains: Vec<(f32, usize)> = texts.iter().map(|text| (gain(*text), *text)).collect();
        gains.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        for (place, (_, text)) in texts.iter_mut().zip(&gains) {
            *place = *text;
        }
        gains.into_iter().map(|(gain, _)| gain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::alike;

    /// A text of one of seven sorts, of sizes that differ.
    fn text(number: usize) -> Vec<u8> {
        let mut state = sort(number) + 1;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 32) as u8
        };
        (0..100).map(|_| next()).collect()
    }

    fn sort(number: usize) -> usize {
        (number * number / 5) % 7
    }

    #[test]
    fn texts_of_one_sort_come_together() {
        let changes = |order: &[usize]| order.windows(2).filter(|pair| sort(pair[0]) != sort(pair[1])).count();
        let given: Vec<usize> = (0..100).collect();
        let order = alike(&given.iter().map(|number| text(*number)).collect::<Vec<_>>());
        assert!(changes(&order) * 2 < changes(&given), "{order:?}");
        let mut all = order;
        all.sort_unstable();
        assert_eq!(all, given);
    }
}
