//! dpo-lab: parse, dispatch, exit code.

use clap::Parser;
use dpo_lab::cli::{self, Cli};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's option `purge_delay`, in milliseconds, by its place in mimalloc.h; -1 keeps what was freed.
const PURGE_DELAY: i32 = 15;

fn main() -> ExitCode {
    // A training step frees and asks for the same large blocks again and again; the system would clear every page of them.
    // SAFETY: it is called before any other thread exists, which is all that mimalloc asks.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
    match cli::dispatch(Cli::parse()) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            cli::complain(&error);
            ExitCode::from(error.exit() as u8)
        }
    }
}
