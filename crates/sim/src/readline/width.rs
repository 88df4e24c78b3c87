//! How many cells of the screen a text takes.

/// Words in columns, as `ls` shows them.
pub(crate) fn columns_of(words: &[String], columns: usize) -> String {
    let cell = words.iter().map(|word| visible_width(word)).max().unwrap_or(0) + 2;
    let across = (columns / cell).max(1);
    let rows = words.len().div_ceil(across);
    let mut out = String::new();
    for row in 0..rows {
        let line: Vec<&String> = words.iter().skip(row).step_by(rows).collect();
        for (index, word) in line.iter().enumerate() {
            out.push_str(word);
            if index + 1 < line.len() {
                out.push_str(&" ".repeat(cell - visible_width(word)));
            }
        }
        out.push_str("\r\n");
    }
    out
}

/// Screen cells of a text, without its escape sequences.
pub(super) fn visible_width(text: &str) -> usize {
    let mut cells = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.find(|c| c.is_ascii_alphabetic());
        } else {
            cells += width(c);
        }
    }
    cells
}

/// Screen cells of a character: two for East Asian wide ones.
pub(super) fn width(c: char) -> usize {
    match c as u32 {
        0..0x20 | 0x300..0x370 | 0x200b..0x2010 => 0,
        0x1100..0x1160
        | 0x2e80..0xa4d0
        | 0xac00..0xd7a4
        | 0xf900..0xfb00
        | 0xfe30..0xfe70
        | 0xff00..0xff61
        | 0x1f300..0x1f650
        | 0x1f900..0x1fa00
        | 0x20000..0x40000 => 2,
        _ => 1,
    }
}
