//! `dpo-lab doctor`

use super::units::bytes;
use crate::bench::{self, Comparison};
use crate::build_info;
use crate::error::{Exit, Result};
use crate::exec;
use crate::machine::{Cuda, Machine, device};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Also compute on the device what the CPU computes, and compare: takes a minute or so
    #[arg(long)]
    compute: bool,
    /// The device to look at, instead of the best there is
    #[arg(long, env = "DPO_LAB_DEVICE", value_name = "DEVICE")]
    device: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> Result<Exit> {
        let (machine, cuda) = (Machine::this(), Cuda::find());
        // Finding everything is not yet computing something.
        let (chosen, works) = match device::one(self.device.as_deref()) {
            Ok((name, device)) => (name, Ok(device)),
            Err(error) => (self.device.unwrap_or_else(|| device::default().0), Err(error)),
        };
        if !self.json {
            print(&machine, &cuda, &chosen);
        }
        let mut compared = Vec::new();
        if let (Ok(device), true) = (&works, self.compute) {
            bench::parity(device, &mut |comparison| {
                if !self.json {
                    print_compared(&chosen, &comparison, compared.is_empty());
                }
                compared.push(comparison);
            })?;
        }
        if self.json {
            let json = serde_json::json!({
                "version": build_info::VERSION, "commit": build_info::commit(), "machine": machine, "cuda": cuda, "device": chosen,
                "works": works.is_ok(), "compared": compared,
            });
            say!("{json:#}");
        }
        works?;
        Ok(if compared.iter().all(Comparison::holds) { Exit::Done } else { Exit::Failed })
    }
}

/// Threads of a worker on a GPU that wait for one another by turning: the program's, and two of Burn's.
const TURNING: usize = 3;

fn print(machine: &Machine, cuda: &Cuda, chosen: &str) {
    let row = |name: &str, value: &str| say!("{name:<10}{value}");
    let commit = build_info::commit().map(|commit| format!(" ({commit})")).unwrap_or_default();
    let built = if cuda.built.is_ok() { "with CUDA" } else { "without CUDA" };
    row("dpo-lab", &format!("{}{commit}, built {built}", build_info::VERSION));
    row("machine", &machine.to_string());
    let missing = "missing".to_owned();
    row("driver", cuda.driver.as_ref().unwrap_or(&missing));
    // A build without CUDA cannot say more.
    if cuda.built.is_ok() {
        match &cuda.gpus {
            Err(_) => row("GPU", &missing),
            Ok((version, gpus)) => {
                row("CUDA", &format!("up to {version}"));
                for gpu in gpus {
                    let (major, minor) = gpu.capability;
                    let (all, free) = (bytes(gpu.memory as f64), bytes(gpu.free as f64));
                    let text = format!("{}, {all} ({free} free), compute capability {major}.{minor}", gpu.name);
                    row(&format!("cuda:{}", gpu.number), &text);
                }
            }
        }
        row("NVRTC", cuda.compiler.as_ref().unwrap_or(&missing));
        row("headers", &cuda.headers.as_ref().map_or(missing.clone(), |path| path.display().to_string()));
    }
    row("device", &format!("{chosen}, unless --device names another"));
    let cores = exec::cores();
    if chosen != "cpu" && cores < TURNING {
        say!(
            "\nthis machine gives the program {cores} of the {TURNING} cores that a worker on a GPU keeps busy: small models train several times slower"
        );
    }
    let missing = cuda.missing();
    if !missing.is_empty() {
        say!("\nto train on a GPU:");
        missing.iter().for_each(|missing| say!("- {missing}"));
    }
}

fn print_compared(chosen: &str, it: &Comparison, first: bool) {
    if first {
        say!("\nhow far {chosen} is from the CPU in f32, of what it may be:");
    }
    let (precision, verdict) = (serde_json::json!(it.precision), if it.holds() { "" } else { "  too far" });
    let precision = precision.as_str().unwrap_or_default();
    say!("{:<34}{precision:<6}{:10.1e} of {:.0e}{verdict}", it.what, it.deviation, it.bound);
}
