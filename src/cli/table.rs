//! Columns of text on standard output.

/// Prints rows below each other, every column but the last as wide as its widest cell.
pub(super) fn print<const N: usize>(indent: usize, rows: &[[impl AsRef<str>; N]]) {
    for line in lines(rows) {
        say!("{:indent$}{line}", "");
    }
}

fn lines<const N: usize>(rows: &[[impl AsRef<str>; N]]) -> Vec<String> {
    let length = |cell: &str| cell.chars().count();
    let width = |column: usize| rows.iter().map(|row| length(row[column].as_ref())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[_; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", AsRef::<str>::as_ref(cell)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A number as tables show it: three decimals.
pub(super) fn number(value: f64) -> String {
    format!("{value:.3}")
}

/// The same with its standard error, where it has one.
pub(super) fn with_error(value: f64, error: Option<f64>) -> String {
    error.map_or_else(|| number(value), |error| format!("{value:.3} ± {error:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(lines(&[["a", "±b", ""], ["long", "c", "d"]]), ["a     ±b", "long  c   d"]);
    }
}
