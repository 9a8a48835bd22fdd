//! What a review's text is before anything else sees it: one line, without HTML line breaks.

/// Makes HTML line breaks (`<br>`, `<br/>`, `<br />` in any case) and runs of white space into one space each, and
/// trims the ends. Cleaning twice is cleaning once.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            space(&mut out);
        } else if c == '>'
            && let Some(start) = open_break(&out)
        {
            // Matching at the closing bracket, on what is already clean, also catches a break that only the removal
            // of another one completes, as in "<br <br>>".
            out.truncate(start);
            space(&mut out);
        } else {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn space(out: &mut String) {
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

/// Where a line break starts that a `>` after `out` would end.
fn open_break(out: &str) -> Option<usize> {
    let rest = out.trim_end_matches(' ');
    let rest = rest.strip_suffix('/').unwrap_or(rest).trim_end_matches(' ');
    let start = rest.len().checked_sub(3)?;
    rest.as_bytes()[start..].eq_ignore_ascii_case(b"<br").then_some(start)
}
