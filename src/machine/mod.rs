//! The machine that a stage runs on, for provenance: what it is, the memory that this process took, and energy.
//!
//! Everything is read from Linux's /proc and /sys; what cannot be read stays unknown. Nothing here names the machine or who uses it.

mod cuda;
pub mod device;
mod energy;

pub use cuda::Cuda;
pub use energy::EnergyMeter;

use serde::{Deserialize, Serialize};

/// What a machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name, or its architecture where it has none.
    pub processor: String,
    /// Logical cores.
    pub cores: usize,
    /// Memory in bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The GPU that was used, with its driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
}

impl Machine {
    /// This machine, where a stage used this device.
    pub fn with(device: &str) -> Self {
        Machine { gpu: device::describe(device), ..Machine::this() }
    }

    /// This machine.
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Machine::of(&read("/proc/cpuinfo"), &read("/proc/meminfo"))
    }

    /// From /proc/cpuinfo and /proc/meminfo.
    fn of(processors: &str, memory: &str) -> Self {
        let listed = processors.lines().filter(|line| line.split(':').next().is_some_and(|name| name.trim() == "processor"));
        let cores = match listed.count() {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let processor = field(processors, "model name").unwrap_or(std::env::consts::ARCH);
        let processor = processor.split_whitespace().collect::<Vec<_>>().join(" ");
        Machine { processor, cores, memory: field(memory, "MemTotal").and_then(bytes), gpu: None }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} {}", self.processor, self.cores, if self.cores == 1 { "core" } else { "cores" })?;
        self.memory.map_or(Ok(()), |memory| write!(f, ", {:.0} GiB", memory as f64 / f64::from(1 << 30)))?;
        self.gpu.as_ref().map_or(Ok(()), |gpu| write!(f, ", {gpu}"))
    }
}

/// The greatest memory that this process has had, in bytes.
pub fn peak_memory() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM").and_then(bytes)
}

/// Memory that new processes may take, in bytes: what the machine has left, or what a control group leaves of its limit.
pub fn available_memory() -> Option<u64> {
    let machine = field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable").and_then(bytes)?;
    let number =
        |file: &str| -> Option<u64> { std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?.trim().parse().ok() };
    let group = number("memory.max").map(|limit| limit.saturating_sub(number("memory.current").unwrap_or(0)));
    Some(group.map_or(machine, |group| group.min(machine)))
}

/// The first value of this name among lines of `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

/// Bytes of `1234 kB`.
fn bytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_what_proc_says() {
        let processors =
            "processor\t: 0\nmodel name\t: A  Processor @ 2.0GHz\nflags\t\t: fpu\n\nprocessor\t: 1\nmodel name\t: B\n";
        let machine = Machine::of(processors, "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
        assert_eq!(machine, Machine { processor: "A Processor @ 2.0GHz".into(), cores: 2, memory: Some(8 << 30), gpu: None });
        assert_eq!(machine.to_string(), "A Processor @ 2.0GHz, 2 cores, 8 GiB");
    }

    #[test]
    fn what_is_not_there_stays_unknown() {
        let machine = Machine::of("", "");
        assert_eq!((machine.processor.as_str(), machine.memory), (std::env::consts::ARCH, None));
        assert!(machine.cores >= 1);
    }

    #[test]
    fn this_process_has_a_peak_on_linux() {
        assert!(!cfg!(target_os = "linux") || peak_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
