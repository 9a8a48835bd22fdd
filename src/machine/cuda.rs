//! What a machine has for training on a GPU: driver, compiler of kernels, headers. All of it is looked for by hand, since Burn
//! panics where something is missing.

use serde::Serialize;
use std::path::{Path, PathBuf};

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its number, as `--device cuda:NUMBER` has it.
    pub number: usize,
    /// What its maker calls it.
    pub name: String,
    /// Bytes of its memory.
    pub memory: u64,
    /// Bytes that nobody uses.
    pub free: u64,
    /// Compute capability.
    pub capability: (i32, i32),
}

/// Something that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What, and where it was looked for.
    pub what: String,
    /// What a person can do.
    pub remedy: String,
}

impl Missing {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Missing { what: what.into(), remedy: remedy.into() }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// What CUDA needs, each found or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cuda {
    /// Whether this build can use it.
    pub built: Result<(), Missing>,
    /// Version of the driver.
    pub driver: Result<String, Missing>,
    /// Greatest version of CUDA that the driver knows, and the GPUs.
    pub gpus: Result<(String, Vec<Gpu>), Missing>,
    /// Version of NVRTC, which compiles kernels.
    pub compiler: Result<String, Missing>,
    /// Where the headers are that kernels include.
    pub headers: Result<PathBuf, Missing>,
}

/// Headers that kernels include, each in `include` or, as since CUDA 13, in its folder `cccl`.
const HEADERS: [&str; 7] =
    ["cuda_fp16.h", "cuda_bf16.h", "cooperative_groups.h", "mma.h", "crt/mma.h", "nv/target", "cuda/barrier"];
/// Where CUDA is looked for if CUDA_PATH does not say.
const PLACES: [&str; 2] = ["/usr/local/cuda", "/opt/cuda"];
/// What the kernel's module of the driver says of itself.
const DRIVER: &str = "/proc/driver/nvidia/version";

impl Cuda {
    /// Looks for everything.
    pub fn find() -> Self {
        let built = if cfg!(feature = "cuda") { Ok(()) } else { Err(not_built()) };
        let said = std::fs::read_to_string(DRIVER).unwrap_or_default();
        let set = std::env::var_os("CUDA_PATH").map(PathBuf::from);
        let gpus = libraries::gpus();
        let driver = driver(&said, gpus.is_ok());
        Cuda { built, driver, gpus, compiler: libraries::compiler(), headers: headers(set) }
    }

    /// What is missing, in the order in which a person would see to it.
    pub fn missing(&self) -> Vec<&Missing> {
        let Cuda { built, driver, gpus, compiler, headers } = self;
        let gpus = gpus.as_ref().err();
        let all = [built.as_ref().err(), driver.as_ref().err(), gpus, compiler.as_ref().err(), headers.as_ref().err()];
        let mut missing: Vec<&Missing> = Vec::new();
        for one in all.into_iter().flatten() {
            if !missing.contains(&one) {
                missing.push(one);
            }
        }
        missing
    }

    /// Number of GPUs that can be used, or the first thing that is missing.
    pub fn usable(&self) -> Result<&[Gpu], &Missing> {
        match (self.missing().first(), &self.gpus) {
            (Some(missing), _) => Err(missing),
            (None, Ok((_, gpus))) => Ok(gpus),
            (None, Err(missing)) => Err(missing),
        }
    }
}

fn not_built() -> Missing {
    Missing::new("this build has no CUDA", "build with `cargo build --release --features cuda`")
}

/// The driver's version from what its kernel module says. Where a driver `answers` without a module of its own (Windows' subsystem for
/// Linux, sandboxes that pass a GPU through), it is there, and of a version unknown.
fn driver(said: &str, answers: bool) -> Result<String, Missing> {
    let line = said.lines().find(|line| line.starts_with("NVRM version:"));
    let version = line.and_then(|line| {
        line.split_whitespace().find(|word| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    });
    version
        .map(str::to_owned)
        .or_else(|| answers.then(|| "of a version unknown".into()))
        .ok_or_else(|| Missing::new("no driver of NVIDIA is loaded", "install it, or start the container with its GPUs"))
}

/// The folder of CUDA's headers; `set` is what CUDA_PATH says.
fn headers(set: Option<PathBuf>) -> Result<PathBuf, Missing> {
    let remedy = "install CUDA's headers (for example the packages nvidia-cuda-runtime, nvidia-cuda-crt and nvidia-cuda-cccl of PyPI, \
                  of NVRTC's version, or CUDA itself) and set CUDA_PATH to the folder above `include`";
    let given = set.is_some();
    let places = set.map_or_else(|| PLACES.map(PathBuf::from).to_vec(), |path| vec![path]);
    let lacks = |include: &Path| {
        HEADERS.into_iter().find(|name| !["", "cccl"].iter().any(|folder| include.join(folder).join(name).is_file()))
    };
    let mut said = format!("there is no CUDA in {}", PLACES.join(" or "));
    for include in places.iter().map(|place| place.join("include")) {
        match lacks(&include) {
            None => return Ok(include),
            Some(name) if given || include.is_dir() => said = format!("there is no {name} in {}", include.display()),
            Some(_) => {}
        }
    }
    Err(Missing::new(said, remedy))
}

#[cfg(feature = "cuda")]
mod libraries {
    //! What the libraries themselves say. Each is opened here first: bindings that are called without their library panic.

    use super::{Gpu, Missing};
    use crate::guard::guarded;
    use cudarc::driver::{CudaContext, DriverError, sys as driver};
    use cudarc::nvrtc::sys as nvrtc;

    /// A version as CUDA counts them.
    fn version(number: i32) -> String {
        format!("{}.{}", number / 1000, number % 1000 / 10)
    }

    /// The newest CUDA that the driver knows, and every GPU.
    pub fn gpus() -> Result<(String, Vec<Gpu>), Missing> {
        // SAFETY: opens a library and closes it again.
        if !unsafe { driver::is_culib_present() } {
            let remedy = "install NVIDIA's driver, or give the container its libraries (for example with --gpus all)";
            return Err(Missing::new("there is no libcuda.so", remedy));
        }
        let unknown =
            |error: String| Missing::new(format!("the driver does not answer ({error})"), "look at what nvidia-smi says");
        let found = guarded(|| -> Result<_, DriverError> {
            let count = CudaContext::device_count()?;
            let mut number = 0;
            // SAFETY: it writes one number to where it is told.
            unsafe { driver::cuDriverGetVersion(&raw mut number).result()? };
            let gpus = (0..usize::try_from(count).unwrap_or(0)).map(gpu).collect::<Result<Vec<_>, _>>()?;
            Ok((version(number), gpus))
        });
        let (version, gpus) = found.map_err(unknown)?.map_err(|error| unknown(format!("{:?}", error.0)))?;
        if gpus.is_empty() {
            return Err(Missing::new("the driver has no GPU", "look at nvidia-smi and CUDA_VISIBLE_DEVICES"));
        }
        Ok((version, gpus))
    }

    fn gpu(number: usize) -> Result<Gpu, DriverError> {
        let context = CudaContext::new(number)?;
        let (free, memory) = context.mem_get_info()?;
        Ok(Gpu {
            number,
            name: context.name()?,
            memory: memory as u64,
            free: free as u64,
            capability: context.compute_capability()?,
        })
    }

    /// The version of NVRTC.
    pub fn compiler() -> Result<String, Missing> {
        let remedy = "install it (for example the package nvidia-cuda-nvrtc of PyPI, or CUDA itself) and put its folder into LD_LIBRARY_PATH";
        let missing = |what: &str| Missing::new(what, remedy);
        // SAFETY: opens a library and closes it again.
        if !unsafe { nvrtc::is_culib_present() } {
            return Err(missing("there is no libnvrtc.so"));
        }
        let (mut major, mut minor) = (0, 0);
        // SAFETY: it writes two numbers to where it is told.
        let asked = guarded(|| unsafe { nvrtc::nvrtcVersion(&raw mut major, &raw mut minor) });
        match asked {
            Ok(nvrtc::nvrtcResult::NVRTC_SUCCESS) => Ok(format!("{major}.{minor}")),
            _ => Err(missing("libnvrtc.so does not say its version")),
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod libraries {
    //! A build without CUDA opens no library.

    use super::{Gpu, Missing, not_built};

    pub fn gpus() -> Result<(String, Vec<Gpu>), Missing> {
        Err(not_built())
    }

    pub fn compiler() -> Result<String, Missing> {
        Err(not_built())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_version_is_read_from_either_kind_of_module() {
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (builder)  Sun Jul 27\nGCC version: x";
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024";
        assert_eq!(driver(open, true).unwrap(), "580.65.06");
        assert_eq!(driver(closed, false).unwrap(), "535.183.01");
        assert!(driver("", false).unwrap_err().to_string().contains("no driver"));
    }

    #[test]
    fn a_driver_that_answers_is_there_though_no_module_says_its_version() {
        assert_eq!(driver("", true).unwrap(), "of a version unknown");
    }

    #[test]
    fn headers_are_all_there_or_the_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let include = folder.path().join("include");
        let find = || headers(Some(folder.path().to_owned()));
        assert!(find().unwrap_err().what.contains("cuda_fp16.h"));
        std::fs::create_dir(&include).unwrap();
        std::fs::write(include.join("cuda_fp16.h"), "").unwrap();
        assert!(find().unwrap_err().what.contains("cuda_bf16.h"));
        // Where CUDA 13 has the last two.
        for name in &HEADERS[1..] {
            assert!(find().unwrap_err().what.contains(name));
            let cccl = name.starts_with("cuda/") || name.starts_with("nv/");
            let path = if cccl { include.join("cccl").join(name) } else { include.join(name) };
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(find().unwrap(), include);
    }

    #[test]
    fn what_is_missing_first_says_why_no_gpu_is_used() {
        let gpu = Gpu { number: 0, name: "GPU".into(), memory: 2, free: 1, capability: (9, 0) };
        let all = Cuda {
            built: Ok(()),
            driver: Ok("580".into()),
            gpus: Ok(("13.0".into(), vec![gpu.clone()])),
            compiler: Ok("13.0".into()),
            headers: Ok("/usr/local/cuda/include".into()),
        };
        assert_eq!(all.usable(), Ok(&[gpu][..]));
        let lacks = |what: &str| Missing::new(what, "");
        let cuda = Cuda { compiler: Err(lacks("compiler")), headers: Err(lacks("headers")), ..all };
        assert_eq!(cuda.usable().unwrap_err().what, "compiler");
        assert_eq!(cuda.missing().len(), 2);
    }

    #[test]
    fn a_machine_without_a_gpu_is_told_so_without_a_panic() {
        let cuda = Cuda::find();
        assert!(cuda.usable().is_ok() || cuda.missing().iter().all(|missing| !missing.remedy.is_empty()));
    }
}
