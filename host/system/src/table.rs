//! Tables for people: columns as wide as their widest cell.

use std::iter::repeat_n;

use anyhow::Result;
use serde::Serialize;

use crate::output;
use crate::printable::printable;

/// `rows` below `head`, columns two spaces apart.
pub fn render<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_string);
    // Names and reasons may come from outside.
    let rows: Vec<[String; N]> = std::iter::once(&head)
        .chain(rows)
        .map(|row| row.each_ref().map(|cell| printable(cell)))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            // Not as the width of a format, which has a bound of its own that a cell does not have.
            line.extend(repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The same for programs, on standard output.
pub fn json(value: &impl Serialize) -> Result<()> {
    output::show(&format!("{}\n", serde_json::to_string_pretty(value)?));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_string(), "/".to_string()], ["weather".to_string(), "/w".to_string()]];
        let expected = "SERVICE  ROUTE\na        /\nweather  /w\n";
        assert_eq!(render(["SERVICE", "ROUTE"], &rows), expected);
    }

    #[test]
    fn a_cell_is_as_long_as_it_is_and_stays_in_its_line() {
        let long = "x".repeat(70_000);
        let rows =
            [["a".to_string(), format!("{long}\n\u{1b}[2J")], ["b".to_string(), "c".to_string()]];
        let expected = format!("A  B\na  {long}\\n\\u{{1b}}[2J\nb  c\n");
        assert_eq!(render(["A", "B"], &rows), expected);
    }
}
