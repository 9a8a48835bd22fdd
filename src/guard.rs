//! Panics of somebody else's parser as errors. The readers of Parquet, of tokenizers and of templates panic on some damages that
//! their types allow; for us they are one more way in which a file can be wrong.

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
    result.map_err(|panic| match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(said), _) => said.clone(),
        (_, Some(said)) => (*said).to_owned(),
        _ => "no reason given".to_owned(),
    })
}
