//! dpo-lab: parse, dispatch, exit code.

use clap::Parser;
use dpo_lab::cli::{self, Cli};
use dpo_lab::error::Error;
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::dispatch(Cli::parse()) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            // A closed standard error leaves the exit code to speak.
            let _ = match &error {
                Error::Usage(rendered) => writeln!(std::io::stderr(), "{rendered}"),
                other => writeln!(std::io::stderr(), "error: {other}"),
            };
            ExitCode::from(error.exit() as u8)
        }
    }
}
