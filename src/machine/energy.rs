//! Energy that the processors take, from Linux's powercap counters (RAPL). Often only an administrator may read them.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where the counters are.
const POWERCAP: &str = "/sys/class/powercap";
/// Counters wrap after about an hour of full load, so that a long stage has to look in between.
const PERIOD: Duration = Duration::from_secs(30);

/// Counts energy from its start on.
pub struct EnergyMeter {
    running: Option<(Sender<()>, JoinHandle<Option<f64>>)>,
}

impl EnergyMeter {
    /// Starts to count; where no counter can be read, nothing is started.
    pub fn start() -> Self {
        EnergyMeter::on(Path::new(POWERCAP), PERIOD)
    }

    fn on(folder: &Path, period: Duration) -> Self {
        let counters = packages(folder);
        if counters.is_empty() {
            return EnergyMeter { running: None };
        }
        let (stop, stopped) = channel();
        let count = move || {
            let mut counters = counters;
            loop {
                let ended = stopped.recv_timeout(period) != Err(RecvTimeoutError::Timeout);
                for counter in &mut counters {
                    counter.read()?;
                }
                if ended {
                    return Some(counters.iter().map(|counter| counter.total as f64).sum::<f64>() / 1e6);
                }
            }
        };
        // A meter that cannot start is no reason to fail.
        EnergyMeter { running: std::thread::Builder::new().spawn(count).ok().map(|thread| (stop, thread)) }
    }

    /// Joules since the start, of all processors and whoever used them; nothing where a counter could not be read.
    pub fn joules(self) -> Option<f64> {
        let (stop, thread) = self.running?;
        drop(stop);
        thread.join().ok().flatten()
    }
}

/// The counter of one processor package, in microjoules.
struct Counter {
    file: PathBuf,
    range: u64,
    last: u64,
    total: u64,
}

impl Counter {
    fn open(folder: &Path) -> Option<Self> {
        let file = folder.join("energy_uj");
        let range = number(&folder.join("max_energy_range_uj"))?;
        Some(Counter { last: number(&file)?, file, range, total: 0 })
    }

    fn read(&mut self) -> Option<()> {
        let now = number(&self.file)?;
        self.total += if now >= self.last { now - self.last } else { (self.range - self.last.min(self.range)) + now };
        self.last = now;
        Some(())
    }
}

/// One counter a package; those of its parts (`intel-rapl:0:0`) are counted in it.
fn packages(folder: &Path) -> Vec<Counter> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_package = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("intel-rapl:"));
        name.is_some_and(|number| !number.contains(':'))
    };
    entries.filter(is_package).filter_map(|path| Counter::open(&path)).collect()
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(folder: &Path, name: &str, microjoules: u64) {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("created");
        std::fs::write(folder.join("max_energy_range_uj"), "10000000\n").expect("written");
        std::fs::write(folder.join("energy_uj"), format!("{microjoules}\n")).expect("written");
    }

    #[test]
    fn packages_are_added_up_across_a_wrap_and_their_parts_are_not_counted_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let set = |values: [u64; 3]| {
            let names = ["intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"];
            names.iter().zip(values).for_each(|(name, value)| counter(folder.path(), name, value));
        };
        set([1_000_000, 9_000_000, 0]);
        let meter = EnergyMeter::on(folder.path(), PERIOD);
        set([3_000_000, 500_000, 5_000_000]);
        assert_eq!(meter.joules(), Some(3.5));
    }

    #[test]
    fn a_counter_that_cannot_be_read_is_no_energy() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(EnergyMeter::on(folder.path(), PERIOD).joules(), None);
        counter(folder.path(), "intel-rapl:0", 1);
        let meter = EnergyMeter::on(folder.path(), PERIOD);
        std::fs::remove_file(folder.path().join("intel-rapl:0/energy_uj")).expect("removed");
        assert_eq!(meter.joules(), None);
    }
}
