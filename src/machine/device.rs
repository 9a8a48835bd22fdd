//! Devices by their names: `cpu`, `cuda:0`, `wgpu`.

use super::cuda::Cuda;
use crate::error::{Error, Result};
use burn::tensor::Device;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Cpu,
    /// NVIDIA's GPU of this number.
    Cuda(usize),
    /// The best GPU that Vulkan, Metal or DirectX finds.
    Wgpu,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Cpu => f.write_str("cpu"),
            Place::Cuda(number) => write!(f, "cuda:{number}"),
            Place::Wgpu => f.write_str("wgpu"),
        }
    }
}

/// Fails where no tensor can live on the device of this name; nothing stays on it.
pub fn check(name: &str) -> Result<()> {
    match place(name)? {
        Place::Cpu => Ok(()),
        Place::Cuda(number) => check_gpu(number),
        Place::Wgpu => open(name).map(drop),
    }
}

/// The device of this name, once everything that it needs has been found.
pub fn open(name: &str) -> Result<Device> {
    let place = place(name)?;
    let remedy = match place {
        Place::Cpu => return Ok(Device::flex()),
        Place::Cuda(number) => {
            check_gpu(number)?;
            "look at what nvidia-smi says"
        }
        Place::Wgpu => "look at what vulkaninfo says",
    };
    on(place).map_err(|panic| refused(place, &panic, remedy))
}

fn place(name: &str) -> Result<Place> {
    match name.strip_prefix("cuda:").map(str::parse) {
        None if name == "cpu" => Ok(Place::Cpu),
        None if name == "wgpu" => Ok(Place::Wgpu),
        Some(Ok(number)) => Ok(Place::Cuda(number)),
        None | Some(Err(_)) => Err(unknown(name)),
    }
}

/// The number of the GPU of this name, for one of NVIDIA's.
fn number(name: &str) -> Option<usize> {
    match place(name) {
        Ok(Place::Cuda(number)) => Some(number),
        _ => None,
    }
}

/// The one device of a command that computes by itself, named or the best there is, with its name.
pub fn one(named: Option<&str>) -> Result<(String, Device)> {
    let name = match named {
        None => default().0,
        Some("cuda") => "cuda:0".to_owned(),
        Some(name) if name.contains(',') => {
            return Err(Error::Usage(format!(
                "error: {name} are several devices\nhelp: this command computes on one: name one of them"
            )));
        }
        Some(name) => name.to_owned(),
    };
    let device = open(&name)?;
    Ok((name, device))
}

/// What the GPU of this name is, with its driver; nothing for the CPU.
pub fn describe(name: &str) -> Option<String> {
    let number = number(name)?;
    let cuda = Cuda::find();
    let gpu = cuda.usable().ok()?.get(number)?;
    Some(format!("{}, driver {}", gpu.name, cuda.driver.as_deref().unwrap_or("unknown")))
}

/// Bytes of memory of the GPU of this name, and how many of them nobody uses; nothing for the CPU.
pub fn memory(name: &str) -> Option<[u64; 2]> {
    let number = number(name)?;
    let cuda = Cuda::find();
    cuda.usable().ok()?.get(number).map(|gpu| [gpu.memory, gpu.free])
}

/// A name that is none.
pub fn unknown(name: &str) -> Error {
    let names = "cpu, cuda, cuda:1, cuda:0,1, or wgpu";
    Error::Usage(format!("error: `{name}` is not the name of a device\nhelp: the names are {names}"))
}

fn refused(place: Place, what: &str, remedy: &str) -> Error {
    Error::Usage(format!(
        "error: no tensor can live on {place}: {what}\nhelp: {remedy}, or use --device cpu; `dpo-lab doctor` says more"
    ))
}

fn check_gpu(number: usize) -> Result<()> {
    let cuda = Cuda::find();
    let gpus = cuda.usable().map_err(|missing| refused(Place::Cuda(number), &missing.what, &missing.remedy))?;
    if number >= gpus.len() {
        let what = format!(
            "this machine has {}, numbered from 0",
            if gpus.len() == 1 { "one GPU".into() } else { format!("{} GPUs", gpus.len()) }
        );
        return Err(refused(Place::Cuda(number), &what, "name one of them"));
    }
    Ok(())
}

/// The device, on which something has been computed: nothing for which the fastest of many kernels would be looked for first.
#[cfg(feature = "gpu")]
fn on(place: Place) -> std::result::Result<Device, String> {
    use burn::tensor::Tensor;
    keep_kernels();
    crate::guard::guarded(|| {
        let device = match place {
            #[cfg(feature = "cuda")]
            Place::Cuda(number) => Device::cuda(number),
            #[cfg(feature = "wgpu")]
            Place::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
            _ => return Err(not_built(place)),
        };
        let sums = Tensor::<1>::ones([16], &device) + Tensor::ones([16], &device);
        let sums: Vec<f32> = sums.into_data().iter().collect();
        if sums == [2.0; 16] { Ok(device) } else { Err(format!("1 + 1 is {:?} there", sums.first())) }
    })
    .map_err(|panic| format!("its kernels do not run ({panic})"))?
}

/// Compiled kernels, and which of them are fastest, are kept in the user's cache folder: every stage is a process of its own, and
/// would otherwise spend its first minutes on them.
#[cfg(feature = "gpu")]
fn keep_kernels() {
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig, memory::PersistentMemory};
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = true;
    config.environment.path = CacheConfig::Global;
    // What is as large as a weight, its gradient for one, takes the place of such a one.
    config.memory.persistent_memory = PersistentMemory::SizeMatch;
    // False where something has read it already, which then holds.
    CubeClRuntimeConfig::try_set(config);
}

#[cfg(not(feature = "gpu"))]
fn on(place: Place) -> std::result::Result<Device, String> {
    Err(not_built(place))
}

/// What is said of a kind of device that the build lacks.
fn not_built(place: Place) -> String {
    let feature = if place == Place::Wgpu { "wgpu" } else { "cuda" };
    format!("this build cannot use it: build with `cargo build --release --features {feature}`")
}

/// The device that is used where nobody names one, and why it is no GPU where this build could use one or a GPU is there.
pub fn default() -> (String, Option<String>) {
    let cuda = Cuda::find();
    match cuda.usable() {
        Ok(_) => ("cuda:0".to_owned(), None),
        Err(missing) => ("cpu".to_owned(), (cuda.built.is_ok() || cuda.driver.is_ok()).then(|| missing.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_other_names_say_what_to_do() {
        assert!(open("cpu").is_ok());
        for wrong in ["gpu", "cuda", "cuda:x", "", "cpu:0", "wgpu:0"] {
            assert!(open(wrong).unwrap_err().to_string().contains("is not the name of a device"), "{wrong}");
        }
        assert!(one(Some("cuda:0,1")).unwrap_err().to_string().contains("name one of them"));
        assert_eq!(one(Some("cpu")).unwrap().0, "cpu");
        // A number that no machine has.
        let error = open("cuda:60000").unwrap_err().to_string();
        assert!(error.contains("--device cpu") && error.contains("doctor"), "{error}");
    }

    #[test]
    #[cfg(not(feature = "wgpu"))]
    fn a_kind_of_device_that_the_build_lacks_names_its_feature() {
        let error = open("wgpu").unwrap_err().to_string();
        assert!(error.contains("on wgpu") && error.contains("--features wgpu"), "{error}");
    }
}
