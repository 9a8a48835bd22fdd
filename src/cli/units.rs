//! Numbers as people read them, in a few characters.

/// Three digits and a letter: 950, 12.3k, 4.56M.
pub(super) fn short(number: f64) -> String {
    let letters = ["", "k", "M", "G", "T", "P", "E", "Z"];
    let mut rest = number;
    for letter in letters {
        // What would be rounded to four digits has the next letter.
        if rest < 999.5 || letter == "Z" {
            return format!("{}{letter}", digits(rest, letter.is_empty()));
        }
        rest /= 1000.0;
    }
    digits(rest, false)
}

/// Bytes: 45 MB.
pub(super) fn bytes(number: f64) -> String {
    let text = short(number);
    let letter = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).to_owned();
    format!("{} {}B", text.trim_end_matches(|c: char| c.is_ascii_alphabetic()), letter)
}

/// Seconds: 0.4 s, 57 s, 3.4 min, 2.1 h, 4.0 days.
pub(super) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        _ if seconds < 99.5 => (seconds, "s"),
        _ if seconds < 90.0 * 60.0 => (seconds / 60.0, "min"),
        _ if seconds < 48.0 * 3600.0 => (seconds / 3600.0, "h"),
        _ => (seconds / 86400.0, "days"),
    };
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

fn digits(number: f64, whole: bool) -> String {
    match number {
        _ if whole => format!("{number:.0}"),
        _ if number < 9.995 => format!("{number:.2}"),
        _ if number < 99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// At most `width` characters: the middle gives way, since names differ at both ends.
pub(super) fn fitted(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let (first, last) = ((width - 1) / 2, width / 2);
    let start: String = text.chars().take(first).collect();
    let end: String = text.chars().skip(count - last).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let all = [0.0, 7.0, 999.0, 999.6, 12_340.0, 4_560_000.0, 1e18, 1e25].map(short);
        assert_eq!(all, ["0", "7", "999", "1.00k", "12.3k", "4.56M", "1.00E", "10000Z"]);
        assert_eq!([12.0, 45e6, 1.5e9].map(bytes), ["12 B", "45.0 MB", "1.50 GB"]);
        assert_eq!([0.0, 57.2, 204.0, 7200.0, 345_600.0].map(time), ["0.0 s", "57 s", "3.4 min", "2.0 h", "4.0 days"]);
    }

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(fitted("short", 5), "short");
        assert_eq!(fitted("true of dpo-beta0.1 at temperature 0.25", 21), "true of dp…ature 0.25");
    }
}
