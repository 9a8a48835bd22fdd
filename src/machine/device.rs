//! Devices by their names: `cpu`, `cuda:0`.

use super::cuda::Cuda;
use crate::error::{Error, Result};
use burn::tensor::Device;

/// Fails where no tensor can live on the device of this name; nothing stays on it.
pub fn check(name: &str) -> Result<()> {
    number(name)?.map_or(Ok(()), check_gpu)
}

/// The device of this name, once everything that it needs has been found.
pub fn open(name: &str) -> Result<Device> {
    match number(name)? {
        None => Ok(Device::flex()),
        Some(number) => {
            check_gpu(number)?;
            on(number).map_err(|panic| refused(number, &panic, "look at what nvidia-smi says"))
        }
    }
}

/// The GPU's number; nothing for the CPU.
fn number(name: &str) -> Result<Option<usize>> {
    match name.strip_prefix("cuda:").map(str::parse) {
        None if name == "cpu" => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        None | Some(Err(_)) => Err(unknown(name)),
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
    let number = number(name).ok().flatten()?;
    let cuda = Cuda::find();
    let gpu = cuda.usable().ok()?.get(number)?;
    Some(format!("{}, driver {}", gpu.name, cuda.driver.as_deref().unwrap_or("unknown")))
}

/// Bytes of memory of the GPU of this name, and how many of them nobody uses; nothing for the CPU.
pub fn memory(name: &str) -> Option<[u64; 2]> {
    let number = number(name).ok().flatten()?;
    let cuda = Cuda::find();
    cuda.usable().ok()?.get(number).map(|gpu| [gpu.memory, gpu.free])
}

/// A name that is none.
pub fn unknown(name: &str) -> Error {
    let names = "cpu, cuda, cuda:1, or cuda:0,1";
    Error::Usage(format!("error: `{name}` is not the name of a device\nhelp: the names are {names}"))
}

fn refused(number: usize, what: &str, remedy: &str) -> Error {
    Error::Usage(format!(
        "error: no tensor can live on cuda:{number}: {what}\nhelp: {remedy}, or use --device cpu; `dpo-lab doctor` says more"
    ))
}

fn check_gpu(number: usize) -> Result<()> {
    let cuda = Cuda::find();
    let gpus = cuda.usable().map_err(|missing| refused(number, &missing.what, &missing.remedy))?;
    if number >= gpus.len() {
        let what = format!(
            "this machine has {}, numbered from 0",
            if gpus.len() == 1 { "one GPU".into() } else { format!("{} GPUs", gpus.len()) }
        );
        return Err(refused(number, &what, "name one of them"));
    }
    Ok(())
}

/// The device, on which something has been computed.
#[cfg(feature = "cuda")]
fn on(number: usize) -> std::result::Result<Device, String> {
    use burn::tensor::Tensor;
    keep_kernels();
    let device = Device::cuda(number);
    crate::guard::guarded(|| {
        let product = Tensor::<2>::ones([16, 16], &device).matmul(Tensor::ones([16, 16], &device));
        let sum: f32 = product.sum().into_scalar();
        sum
    })
    .map_err(|panic| format!("its kernels do not run ({panic})"))
    .and_then(|sum| if sum == 4096.0 { Ok(device) } else { Err(format!("a sum of 4096 ones is {sum} there")) })
}

/// Compiled kernels, and which of them are fastest, are kept in the user's cache folder: every stage is a process of its own, and
/// would otherwise spend its first minutes on them.
#[cfg(feature = "cuda")]
fn keep_kernels() {
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = true;
    config.environment.path = CacheConfig::Global;
    // False where something has read it already, which then holds.
    CubeClRuntimeConfig::try_set(config);
}

#[cfg(not(feature = "cuda"))]
fn on(_: usize) -> std::result::Result<Device, String> {
    Err("this build has no CUDA".to_owned())
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
        for wrong in ["gpu", "cuda", "cuda:x", "", "cpu:0"] {
            assert!(open(wrong).unwrap_err().to_string().contains("is not the name of a device"), "{wrong}");
        }
        assert!(one(Some("cuda:0,1")).unwrap_err().to_string().contains("name one of them"));
        assert_eq!(one(Some("cpu")).unwrap().0, "cpu");
        // A number that no machine has.
        let error = open("cuda:60000").unwrap_err().to_string();
        assert!(error.contains("--device cpu") && error.contains("doctor"), "{error}");
    }
}
