//! Columns from tabs, as Go's `text/tabwriter` aligns them.

/// How wide columns are.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    min_width: usize,
    padding: usize,
}

/// Tables of `get`, `config get-contexts`, `api-resources`, …
pub const TABLE: Style = Style { min_width: 6, padding: 3 };
/// `describe`.
pub const DESCRIBE: Style = Style { min_width: 0, padding: 2 };

/// Aligns the tab-separated cells of some lines. A column reaches as far as consecutive lines have a cell in
/// it that a tab ends; the last cell of a line is never padded.
pub fn align(text: &str, style: Style) -> String {
    align_remembering(text, style, &mut Vec::new())
}

/// The same for lines that come in several pieces: columns do not get narrower than they were.
pub fn align_remembering(text: &str, style: Style, widths: &mut Vec<usize>) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut writer = Writer {
        lines: &lines,
        style,
        before: widths.clone(),
        remembered: widths,
        widths: Vec::new(),
        out: String::new(),
    };
    writer.format(0, lines.len());
    writer.out.pop();
    writer.out
}

struct Writer<'a> {
    lines: &'a [Vec<&'a str>],
    style: Style,
    before: Vec<usize>,
    remembered: &'a mut Vec<usize>,
    widths: Vec<usize>,
    out: String,
}

impl Writer<'_> {
    fn has_column(&self, line: usize, column: usize) -> bool {
        self.lines.get(line).is_some_and(|cells| column + 1 < cells.len())
    }

    fn format(&mut self, first: usize, end: usize) {
        let column = self.widths.len();
        let mut written = first;
        let mut line = first;
        while line < end {
            if !self.has_column(line, column) {
                line += 1;
                continue;
            }
            self.write(written, line);
            written = line;
            let mut width = self.style.min_width;
            while line < end && self.has_column(line, column) {
                let cell = self.lines.get(line).and_then(|cells| cells.get(column)).copied().unwrap_or_default();
                width = width.max(cell.chars().count() + self.style.padding);
                line += 1;
            }
            width = width.max(self.before.get(column).copied().unwrap_or_default());
            match self.remembered.get_mut(column) {
                Some(old) => *old = width.max(*old),
                None => self.remembered.push(width),
            }
            self.widths.push(width);
            self.format(written, line);
            self.widths.pop();
            written = line;
        }
        self.write(written, end);
    }

    fn write(&mut self, first: usize, end: usize) {
        for cells in self.lines.get(first..end).unwrap_or_default() {
            for (column, cell) in cells.iter().enumerate() {
                self.out.push_str(cell);
                if let Some(width) = self.widths.get(column) {
                    let used = cell.chars().count();
                    self.out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
                }
            }
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_blocks_of_lines() {
        assert_eq!(align("NAME\tAGE\nweb-1\t5s\n", TABLE), "NAME    AGE\nweb-1   5s\n");
        assert_eq!(align("A\tB\tC\n\n", TABLE), "A     B     C\n\n");
        assert_eq!(
            align("Name:\tx\nLabels:\ta=b\n\tc=d\nEvents:\tnone\n", DESCRIBE),
            "Name:    x\nLabels:  a=b\n         c=d\nEvents:  none\n"
        );
        assert_eq!(align("Long name:\tx\nbreak\nA:\ty\n", DESCRIBE), "Long name:  x\nbreak\nA:  y\n");
    }

    #[test]
    fn columns_keep_their_width() {
        let mut widths = Vec::new();
        assert_eq!(align_remembering("NAME\tAGE\n", TABLE, &mut widths), "NAME   AGE\n");
        assert_eq!(align_remembering("longer-name\t1s\n", TABLE, &mut widths), "longer-name   1s\n");
        assert_eq!(align_remembering("x\t1s\n", TABLE, &mut widths), "x             1s\n");
    }
}
