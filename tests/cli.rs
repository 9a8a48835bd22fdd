//! What a user sees: every command in tests/cli/*.md gives exactly the output written there.

#[test]
fn the_command_line_says_what_is_written() {
    trycmd::TestCases::new().case("tests/cli/*.md").insert_var("[VERSION]", env!("CARGO_PKG_VERSION")).expect("a variable").run();
}
