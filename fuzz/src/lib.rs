//! What the targets share: a folder that inputs are written into, and an allocator that refuses memory bombs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest block that one input may ask for: 1 GiB, but for a page of Parquet, whose header may ask for 2 GiB that are not touched
/// before the page has them. libFuzzer's own `-malloc_limit_mb` needs a sanitizer's allocator.
pub static LARGEST: AtomicUsize = AtomicUsize::new(1 << 30);

/// The system's allocator, which ends the process where a block is larger than any honest input needs.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fn check(bytes: usize) {
    if bytes > LARGEST.load(Ordering::Relaxed) {
        eprintln!("memory bomb: {bytes} bytes in one block");
        std::process::abort();
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

/// The process's own folder, made on the first call by `prepare`. It is left behind where the fuzzer ends the process.
pub fn folder(prepare: impl FnOnce(&Path)) -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let made = tempfile::Builder::new().prefix("dpo-lab-fuzz-").tempdir().expect("a temporary folder");
        prepare(made.path());
        made
    });
    made.path()
}

/// Ends the process where the program gave an input up: what it does for it goes on in a thread, which no later input should have to
/// bear. fuzz/run starts the fuzzer again.
pub fn end_if_given_up(error: &dpo_lab::error::Error) {
    unsafe extern "C" {
        safe fn _exit(code: i32) -> !;
    }
    let said = error.to_string();
    if said.contains("takes more than") || said.contains("does not end within") {
        eprintln!("given up: {said}");
        _exit(0);
    }
}

/// Writes a file of an input.
pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("room for an input");
}
