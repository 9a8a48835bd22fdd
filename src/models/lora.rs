//! Low-rank adaptation (Hu et al. 2021): y = x W + b + (x A) B alpha / rank, where W and b stay and A and B are trained.
//!
//! Adapters belong to modules of the files, as PEFT knows them (`q_proj`, `c_attn`). The decoder packs some modules into one matrix,
//! so an adapter adds to some columns of what that matrix gives. B's columns are in the decoder's order.

use super::config::{Part, Place};
use super::hf::Stored;
use super::parameters::{Parameter, tensor};
use super::{BuiltinSize, Decoder, DecoderConfig, hf::Origin};
use crate::ops;
use crate::random::Stream;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// The target that means every linear map of every block, as in PEFT. No target means the head.
pub const ALL_LINEAR: &str = "all-linear";

/// `[model.lora]`: which modules have an adapter, and how large it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lora {
    /// Inner width of an adapter.
    pub rank: usize,
    /// What an adapter adds is multiplied by alpha / rank.
    pub alpha: f64,
    /// Modules: their full names, or what these end with behind a dot; or [`ALL_LINEAR`].
    #[serde(deserialize_with = "one_or_many")]
    pub targets: Vec<String>,
}

impl Default for Lora {
    fn default() -> Self {
        Lora { rank: 8, alpha: 16.0, targets: vec![ALL_LINEAR.to_owned()] }
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`targets` must be a list of modules' names, or \"all-linear\"")]
    enum Names {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::Many(names) => names,
    })
}

/// A value of `[model.lora]` that does not go with the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its key.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Lora {
    /// Those of a model's modules that have an adapter; a target that matches none is a mistake, and so is a rank that no matrix of
    /// theirs can have.
    pub fn choose(&self, modules: Vec<Module>) -> Result<Vec<Module>, Mistake> {
        let matches = |target: &String, module: &Module| {
            let behind_a_dot = || module.name.strip_suffix(target.as_str()).is_some_and(|before| before.ends_with('.'));
            target == ALL_LINEAR || *target == module.name || behind_a_dot()
        };
        if let Some(unknown) = self.targets.iter().find(|target| !modules.iter().any(|module| matches(target, module))) {
            let names: BTreeSet<&str> = modules.iter().map(Module::short_name).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let what = format!("no module of this model that can have an adapter is called `{unknown}`");
            return Err(Mistake { key: "targets", what, hint: format!("there are {names}; \"{ALL_LINEAR}\" is all of them") });
        }
        let chosen: Vec<Module> =
            modules.into_iter().filter(|module| self.targets.iter().any(|target| matches(target, module))).collect();
        match chosen.iter().find(|module| self.rank > module.shape[0].min(module.shape[1])) {
            Some(Module { name, shape: [inputs, outputs], .. }) => {
                let what =
                    format!("`rank` = {} is more than {name} can have, which maps {inputs} numbers to {outputs}", self.rank);
                Err(Mistake { key: "rank", what, hint: "ranks of 4 to 64 are usual".into() })
            }
            None => Ok(chosen),
        }
    }
}

/// A linear map of the files that can have an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, for example `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// `[in, out]`
    pub shape: [usize; 2],
    /// Whether its file holds `[in, out]` (GPT-2's Conv1D).
    pub is_transposed: bool,
    /// The decoder's matrix that it is in.
    place: Place,
    /// Its first column there.
    first: usize,
    /// Whether its file holds queries, keys and values head by head.
    by_head: bool,
}

impl Module {
    /// Every linear map of every block, in the order of the decoder's weights.
    pub fn all(config: &DecoderConfig, origin: &Origin) -> Vec<Module> {
        let mut modules = Vec::new();
        for (place, shape) in config.places() {
            let (Place::Block(_, Part::Qkv | Part::Mix | Part::Widen | Part::Narrow), &[inputs, _]) = (place, &shape[..]) else {
                continue;
            };
            let stored = origin.stored(config, place);
            let (is_transposed, by_head) = (matches!(stored, Stored::AsIs(_)), matches!(stored, Stored::LinearByHead(_)));
            let mut first = 0;
            for (name, outputs) in stored.modules(&shape) {
                modules.push(Module { name, shape: [inputs, outputs], is_transposed, place, first, by_head });
                first += outputs;
            }
        }
        modules
    }

    /// The last part of its name.
    pub fn short_name(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(_, last)| last)
    }

    /// Those of a model that a study trains itself.
    pub fn of_builtin(size: &BuiltinSize) -> Vec<Module> {
        let config = DecoderConfig::gpt2(1, size.context, size.width, size.layers, size.heads);
        Module::all(&config, &Origin::gpt2(&config))
    }

    /// The decoder's matrix that it is in, and its columns there.
    pub(super) fn columns(&self) -> (Place, Range<usize>) {
        (self.place, self.first..self.first + self.shape[1])
    }

    /// Shapes of A and B in the decoder.
    pub(super) fn shapes(&self, rank: usize) -> [[usize; 2]; 2] {
        [[self.shape[0], rank], [rank, self.shape[1]]]
    }

    /// How A and B lie in PEFT's files: both as matrices of torch.nn.Linear.
    pub(super) fn stored(&self, rank: usize) -> [Stored; 2] {
        let [a, b] = ["A", "B"].map(|matrix| format!("base_model.model.{}.lora_{matrix}.weight", self.name));
        [Stored::linear(a, rank), if self.by_head { Stored::LinearByHead(b) } else { Stored::linear(b, self.shape[1]) }]
    }
}

/// A decoder's adapters; their values are its last parameters, A and B of one module after another.
#[derive(Debug)]
pub struct Adapters {
    /// How large they are, and what they were asked for.
    pub settings: Lora,
    /// What they belong to.
    pub modules: Vec<Module>,
    /// Modules of every matrix that has some.
    of_place: HashMap<Place, Range<usize>>,
}

impl Decoder {
    /// The model with fresh adapters, which alone are trained: A uniform in +-1 / sqrt(in) (Kaiming's with a = sqrt(5), as PEFT's), B
    /// zero, so that nothing changes before the first step.
    pub fn with_adapters(&self, settings: &Lora, stream: &mut Stream, device: &Device) -> Result<Self, Mistake> {
        let modules = settings.choose(Module::all(&self.config, &self.origin))?;
        let values = modules.iter().map(|module| {
            let ([inputs, outputs], rank) = (module.shape, settings.rank);
            let bound = 1.0 / (inputs as f64).sqrt();
            let a = (0..inputs * rank).map(|_| (bound * (2.0 * stream.uniform() - 1.0)) as f32).collect();
            vec![a, vec![0.0; rank * outputs]]
        });
        let values = values.collect();
        Ok(self.attached(settings.clone(), modules, values, device))
    }

    /// The model with these adapters: A `[in, rank]` and B `[rank, out]` of every module, in the decoder's order of columns.
    pub(super) fn attached(&self, settings: Lora, modules: Vec<Module>, values: Vec<Vec<Vec<f32>>>, device: &Device) -> Self {
        let mut adapted = self.without_adapters();
        for parameter in &mut adapted.parameters.0 {
            parameter.trainable = false;
        }
        // A new head is worth nothing before it is trained.
        if self.config.scores > 0 {
            let score = self.position(Place::Score);
            adapted.parameters.0[score].trainable = true;
        }
        let mut of_place: HashMap<Place, Range<usize>> = HashMap::new();
        for (index, (module, values)) in modules.iter().zip(values).enumerate() {
            of_place.entry(module.place).or_insert(index..index).end = index + 1;
            for ((which, shape), value) in ["A", "B"].into_iter().zip(module.shapes(settings.rank)).zip(values) {
                let (name, value) = (format!("{}, adapter {which}", module.name), tensor(value, device));
                adapted.parameters.0.push(Parameter { name, shape: shape.to_vec(), value, trainable: true });
            }
        }
        adapted.adapters = Some(Arc::new(Adapters { settings, modules, of_place }));
        adapted
    }

    /// The adapters, where the model has some.
    pub fn adapters(&self) -> Option<&Adapters> {
        self.adapters.as_deref()
    }

    /// A and B of the adapters' modules, in their order.
    pub(super) fn adapter_values(&self) -> impl Iterator<Item = &[Parameter]> {
        self.parameters.0[self.places()..].chunks_exact(2)
    }

    /// The same weights, not copied, with the adapters off.
    pub fn without_adapters(&self) -> Self {
        if self.adapters.is_none() {
            return self.clone();
        }
        let mut bare = self.clone();
        bare.adapters = None;
        bare.parameters.0.truncate(self.places());
        for parameter in &mut bare.parameters.0 {
            parameter.trainable = true;
        }
        bare
    }

    /// The same model without adapters: what they do is added to the weights that they belong to.
    pub fn merged(&self) -> Self {
        let mut merged = self.without_adapters();
        for place in self.adapters().into_iter().flat_map(|adapters| adapters.of_place.keys()) {
            let sum = self.through_adapters(*place, self.matrix(*place), None);
            merged.parameters.0[self.position(*place)].value = sum.flatten(0, 1);
        }
        merged
    }

    /// Whether a matrix has an adapter.
    pub(super) fn is_adapted(&self, place: Place) -> bool {
        self.adapters().is_some_and(|adapters| adapters.of_place.contains_key(&place))
    }

    /// y `[rows, out]`, and what adapters of a matrix add to it for its inputs x `[rows, in]`.
    pub(super) fn adapt(&self, place: Place, y: Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
        if self.is_adapted(place) { self.through_adapters(place, y, Some(x)) } else { y }
    }

    /// y + x A B alpha / rank for all adapters of a matrix at once; without x, y + A B alpha / rank.
    fn through_adapters(&self, place: Place, y: Tensor<2>, x: Option<&Tensor<2>>) -> Tensor<2> {
        let Some(adapters) = self.adapters() else { return y };
        let Some(range) = adapters.of_place.get(&place) else { return y };
        let (device, [_, width]) = (y.device(), y.dims());
        let (mut downs, mut ups) = (Vec::new(), Vec::new());
        for index in range.clone() {
            let (module, first) = (&adapters.modules[index], self.places() + 2 * index);
            downs.push(self.parameters.matrix(first));
            let up = self.parameters.matrix(first + 1);
            // Zeros in the columns of the matrix's other modules.
            let zeros = |columns| (columns > 0).then(|| Tensor::zeros([adapters.settings.rank, columns], &device));
            let (_, columns) = module.columns();
            let row: Vec<Tensor<2>> =
                [zeros(columns.start), Some(up), zeros(width - columns.end)].into_iter().flatten().collect();
            ups.push(joined(row, 1));
        }
        let scale = adapters.settings.alpha / adapters.settings.rank as f64;
        let (down, up) = (joined(downs, 1).mul_scalar(scale), joined(ups, 0));
        let zeros = |columns: usize| Tensor::zeros([columns], &device);
        let inner = match x {
            Some(x) => {
                let [_, inner] = down.dims();
                ops::linear(x.clone(), down, zeros(inner))
            }
            None => down,
        };
        ops::linear_onto(y, inner, up, zeros(width))
    }
}

/// Matrices one after another; one by itself is not copied.
fn joined(mut parts: Vec<Tensor<2>>, dimension: usize) -> Tensor<2> {
    if parts.len() > 1 { Tensor::cat(parts, dimension) } else { parts.remove(0) }
}
