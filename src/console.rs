//! Lines for the user, on a standard output that may be closed before the work is done: `dpo-lab status | head` is no error,
//! and a study must not stop because nobody reads its progress any more.

/// `println!`, but a closed standard output is not a panic.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// `eprintln!`, but a closed standard error is not a panic.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
