//! A clock on every kernel, off unless somebody asks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

static ON: AtomicBool = AtomicBool::new(false);
static SECONDS: Mutex<BTreeMap<String, f64>> = Mutex::new(BTreeMap::new());

/// Runs a part of a kernel, and counts its time while somebody asks.
pub(crate) fn timed<T>(kernel: &str, part: &str, work: impl FnOnce() -> T) -> T {
    if !ON.load(Ordering::Relaxed) {
        return work();
    }
    let began = Instant::now();
    let result = work();
    let seconds = began.elapsed().as_secs_f64();
    if let Ok(mut all) = SECONDS.lock() {
        *all.entry(format!("{kernel}{part}")).or_default() += seconds;
    }
    result
}

/// Runs `work` and says how many seconds each part of each kernel took, on all threads together.
pub fn profiled<T>(work: impl FnOnce() -> T) -> (T, Vec<(String, f64)>) {
    if let Ok(mut all) = SECONDS.lock() {
        all.clear();
    }
    ON.store(true, Ordering::Relaxed);
    let result = work();
    ON.store(false, Ordering::Relaxed);
    let times = SECONDS.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
    (result, times.into_iter().collect())
}
