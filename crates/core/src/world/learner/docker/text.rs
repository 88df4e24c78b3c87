//! How docker writes durations and tables.

use machinery::Timestamp;

/// Docker's rough durations.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let plural = |count: i64, unit: &str| format!("{count} {unit}");
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => plural(seconds, "seconds"),
        60..120 => "About a minute".into(),
        120..3600 => plural(seconds / 60, "minutes"),
        3600..7200 => "About an hour".into(),
        7200..172_800 => plural(seconds / 3600, "hours"),
        _ => plural(seconds / 86_400, "days"),
    }
}

/// No column is narrower.
const WIDTH_MIN: usize = 7;

/// A table with three spaces between its columns, as docker prints it.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0).max(WIDTH_MIN)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < count {
                let padding = widths.get(column).copied().unwrap_or(0) + 3 - cell.chars().count();
                text.push_str(&" ".repeat(padding));
            }
        }
        text.push('\n');
    }
    text
}
