//! Panics of somebody else's code as errors. The readers of Parquet, of tokenizers and of templates panic on some damages that
//! their types allow; for us they are one more way in which a file can be wrong. Burn panics where a GPU fails.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `read`, or what it panicked with. Whatever `read` was working on must not be used after a panic.
pub fn guarded<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    // Without this, the standard hook would print a report on a bug of this program, which it is not.
    static QUIETEN: Once = Once::new();
    QUIETEN.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                report(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    result.map_err(|panic| brief(said(&*panic)).to_owned())
}

/// The code of a process that a panic has ended.
const PANICKED: i32 = 101;

/// Makes every panic's report [`brief`], also where nothing guards against it. A panic inside wgpu's core ends the process: it is in a
/// thread of the device, and whoever waits for that would wait for ever.
pub fn shorten_panics() {
    let report = take_hook();
    set_hook(Box::new(move |info| {
        let said = said(info.payload());
        match brief(said) {
            short if short.len() < said.len() => {
                tell!("panicked{}:\n{short}", info.location().map(|at| format!(" at {at}")).unwrap_or_default());
            }
            _ => report(info),
        }
        if info.location().is_some_and(|at| at.file().contains("/wgpu-core-")) {
            std::process::exit(PANICKED);
        }
    }));
}

fn said(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(said), _) => said,
        (_, Some(said)) => said,
        _ => "no reason given",
    }
}

/// What was said, without the source of a GPU's kernel that did not compile: a thousand lines behind the compiler's message.
fn brief(said: &str) -> &str {
    said.find("[Source]").map_or(said, |source| said[..source].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_does_not_compile_is_told_without_its_source() {
        let panic =
            "A compilation error happened\n[Compilation Error] cannot open \"nv/target\"\n[Source]\ntypedef int int32_t;\n";
        let said = guarded(|| std::panic::panic_any(panic.to_owned())).unwrap_err();
        assert_eq!(said, "A compilation error happened\n[Compilation Error] cannot open \"nv/target\"");
        assert_eq!(guarded(|| std::panic::panic_any("out of memory")).unwrap_err(), "out of memory");
    }
}
