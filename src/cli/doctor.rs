//! `dpo-lab doctor`

use super::units::bytes;
use crate::build_info;
use crate::error::{Exit, Result};
use crate::machine::{Cuda, Machine, device};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> Result<Exit> {
        let (machine, cuda) = (Machine::this(), Cuda::find());
        let (chosen, _) = device::default();
        // Finding everything is not yet computing something.
        let works = device::open(&chosen).map(|_| ());
        if self.json {
            let json = serde_json::json!({
                "version": build_info::VERSION, "commit": build_info::commit(), "machine": machine, "cuda": cuda, "device": chosen,
                "works": works.is_ok(),
            });
            say!("{json:#}");
        } else {
            print(&machine, &cuda, &chosen);
        }
        works.map(|()| Exit::Done)
    }
}

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
    let missing = cuda.missing();
    if !missing.is_empty() {
        say!("\nto train on a GPU:");
        missing.iter().for_each(|missing| say!("- {missing}"));
    }
}
