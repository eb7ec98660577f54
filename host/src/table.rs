//! Tables for people: columns as wide as their widest cell.

use anyhow::Result;
use serde::Serialize;

use crate::output;

/// `rows` below `head`, columns two spaces apart.
pub fn render<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_string);
    let mut widths = [0; N];
    for row in std::iter::once(&head).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
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
}
