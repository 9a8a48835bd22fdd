//! Places where workers run: cores of one CPU, or one GPU each.

/// Devices that stages are spread over, as `--device` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    free: Vec<String>,
    count: usize,
}

impl Slots {
    /// `jobs` places on the CPU, or one on each of these GPUs (fewer where `jobs` is).
    pub fn new(devices: &[String], jobs: Option<usize>, cores: usize) -> Self {
        let gpus = devices.iter().all(|device| device.starts_with("cuda"));
        let count = if gpus { jobs.map_or(devices.len(), |jobs| jobs.min(devices.len())) } else { jobs.unwrap_or(cores) };
        // The last one is given first.
        let free: Vec<String> = (0..count).rev().map(|place| devices[place % devices.len()].clone()).collect();
        Slots { free, count }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes a place, where one is free.
    pub fn take(&mut self) -> Option<String> {
        self.free.pop()
    }

    /// Gives it back.
    pub fn give_back(&mut self, device: String) {
        self.free.push(device);
    }
}

/// The devices that a flag names: `cpu`, `cuda`, `cuda:1` or `cuda:0,1`; nothing where it names none.
pub fn devices(flag: &str) -> Option<Vec<String>> {
    match flag.split_once(':') {
        None if flag == "cpu" || flag == "wgpu" => Some(vec![flag.to_owned()]),
        None if flag == "cuda" => Some(vec!["cuda:0".to_owned()]),
        Some(("cuda", numbers)) => {
            let mut seen = Vec::new();
            for number in numbers.split(',') {
                let name = format!("cuda:{}", number.trim().parse::<u16>().ok()?);
                // A GPU that is named twice would be given two stages at once.
                if seen.contains(&name) {
                    return None;
                }
                seen.push(name);
            }
            Some(seen)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_names_one_device_or_several_gpus() {
        let named = |flag: &str| devices(flag).map(|devices| devices.join(" "));
        assert_eq!(named("cpu").as_deref(), Some("cpu"));
        assert_eq!(named("wgpu").as_deref(), Some("wgpu"));
        assert_eq!(named("cuda").as_deref(), Some("cuda:0"));
        assert_eq!(named("cuda:2").as_deref(), Some("cuda:2"));
        assert_eq!(named("cuda:0,1, 3").as_deref(), Some("cuda:0 cuda:1 cuda:3"));
        for wrong in ["", "gpu", "cpu:1", "cuda:", "cuda:x", "cuda:0,,1", "cuda:1,1", "cuda:-1"] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_gpu_has_one_stage_at_a_time_and_a_cpu_as_many_as_it_has_cores() {
        let gpus = devices("cuda:0,1").expect("two");
        let mut slots = Slots::new(&gpus, None, 16);
        let (one, other) = (slots.take().expect("one"), slots.take().expect("another"));
        assert_ne!(one, other);
        assert_eq!(slots.take(), None);
        slots.give_back(one.clone());
        assert_eq!(slots.take(), Some(one));
        assert_eq!(Slots::new(&gpus, Some(1), 16).count(), 1);
        assert_eq!(Slots::new(&gpus, Some(9), 16).count(), 2);
        let cpu = devices("cpu").expect("one");
        assert_eq!(Slots::new(&cpu, None, 4).count(), 4);
        assert_eq!(Slots::new(&cpu, Some(9), 4).count(), 9);
    }
}
