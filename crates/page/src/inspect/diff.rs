//! The lines by which two texts differ.

/// The shortest way from one text to the other, without the lines that stay: `-` and the line's place in the old
/// text, or `+` and its place in the new one.
pub fn diff<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, usize, &'a str)> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[same..], &new[same..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    // The lengths of longest common subsequences; what is left after the cuts above is short.
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            out.push(('-', same + i, old[i]));
            i += 1;
        } else {
            out.push(('+', same + j, new[j]));
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn a_difference_is_what_goes_and_what_comes() {
        assert_eq!(diff(&["a", "b", "c"], &["a", "x", "c"]), [('-', 1, "b"), ('+', 1, "x")]);
        assert_eq!(diff(&["a"], &["a"]), []);
        assert_eq!(diff(&["a", "b"], &["b", "c"]), [('-', 0, "a"), ('+', 1, "c")]);
    }
}
