//! Lines for the user, on a standard output that may be closed before the work is done: `dpo-lab status | head` is no error,
//! and a study must not stop because nobody reads its progress any more.
//!
//! A terminal obeys what it is sent: a row of a data set, a completion or a server's message may hold sequences that move the
//! cursor, fill the clipboard or hide a line. So every text that is printed comes through [`harmless`].

use std::borrow::Cow;
use std::fmt::Write as _;

/// `println!`, but a closed standard output is not a panic, and no text in it commands the terminal.
macro_rules! say {
    () => { say!("") };
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let text = format!($($text)*);
        let _ = writeln!(std::io::stdout(), "{}", $crate::console::harmless(&text));
    }};
}

/// `eprintln!`, but a closed standard error is not a panic, and no text in it commands the terminal.
macro_rules! tell {
    () => { tell!("") };
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let text = format!($($text)*);
        let _ = writeln!(std::io::stderr(), "{}", $crate::console::harmless(&text));
    }};
}

/// A text whose control characters, but for line ends and tabs, are written out as JSON writes them: `\u001b`. So are the marks
/// that change the direction of what follows.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if commands(letter) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// A line on the standard output whose commands to the terminal are our own, such as colours; other texts in it have come through
/// [`harmless`].
pub fn show(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Whether a terminal may do something else with a character than show it.
fn commands(letter: char) -> bool {
    let directs = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    directs || letter.is_control() && !matches!(letter, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_commands_a_terminal_is_written_out() {
        assert_eq!(harmless("\u{1b}[2J\u{1b}]52;c;eA==\u{7}"), "\\u001b[2J\\u001b]52;c;eA==\\u0007");
        assert_eq!(
            harmless("true\rfalse \u{9b}31m \u{202e}abc\u{0}\u{7f}"),
            "true\\u000dfalse \\u009b31m \\u202eabc\\u0000\\u007f"
        );
        assert_eq!(harmless("one\n\ttwo é 日本 🙂 e\u{301}"), "one\n\ttwo é 日本 🙂 e\u{301}");
    }

    #[test]
    fn json_stays_the_json_that_it_was() {
        let value = serde_json::json!({ "text": "\u{1b}[0m \u{85} \u{202e}\n\"quoted\"" });
        let shown = harmless(&value.to_string()).into_owned();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    proptest! {
        #[test]
        fn no_text_commands_and_harmless_ones_stay(text in any::<String>()) {
            let shown = harmless(&text);
            prop_assert!(!shown.contains(commands));
            prop_assert!(text.contains(commands) || shown == text);
        }
    }
}
