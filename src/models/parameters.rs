//! A model's weights: named as in Hugging Face's files, each a flat tensor with a shape.

use crate::error::{Doing, Error, Result};
use crate::ops;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use std::path::Path;

/// One weight. It is kept flat, so that optimisers see vectors only; reshaping costs nothing.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in the safetensors file.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// The values, row by row.
    pub value: Tensor<1>,
    /// Whether training changes it.
    pub trainable: bool,
}

/// All weights of a model, in the order of its definition.
#[derive(Clone, Debug)]
pub struct Parameters(pub Vec<Parameter>);

impl Parameters {
    /// Weight `index` as a vector.
    pub fn vector(&self, index: usize) -> Tensor<1> {
        self.0[index].value.clone()
    }

    /// Weight `index` as a matrix.
    pub fn matrix(&self, index: usize) -> Tensor<2> {
        let parameter = &self.0[index];
        parameter.value.clone().reshape([parameter.shape[0], parameter.shape[1]])
    }

    /// The same values, not copied, on a new gradient tape on `device`; those that are trained are its leaves.
    pub fn tracked(&self, device: &Device) -> Self {
        let device = device.clone().autodiff();
        let on_tape = |parameter: &Parameter| {
            let value = Tensor::from_inner(parameter.value.clone()).to_device(&device);
            if parameter.trainable { value.require_grad() } else { value }
        };
        Parameters(self.0.iter().map(|parameter| Parameter { value: on_tape(parameter), ..parameter.clone() }).collect())
    }

    /// Those that training changes.
    pub fn trainable(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter().filter(|parameter| parameter.trainable)
    }

    /// Those that training changes.
    pub fn trainable_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        self.0.iter_mut().filter(|parameter| parameter.trainable)
    }

    /// Number of weights.
    pub fn count(&self) -> usize {
        self.0.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum()
    }

    /// Writes them in f32 under their own names.
    pub fn save(&self, path: &Path) -> Result<()> {
        write(path, self.0.iter().map(|p| (p.name.clone(), p.shape.clone(), values(&p.value))).collect())
    }

    /// Reads the weights with these names and shapes, for training; missing, surplus and misshapen ones are listed.
    pub fn load(path: &Path, expected: &[(String, Vec<usize>)], device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).doing("read", path)?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| Error::Other(format!("{} is not a safetensors file: {error}", path.display())))?;
        let mut wrong = Vec::new();
        let mut parameters = Vec::new();
        for (name, shape) in expected {
            match file.tensor(name) {
                Err(_) => wrong.push(format!("missing {name}")),
                Ok(view) if view.dtype() != Dtype::F32 => wrong.push(format!("{name} is {:?}, not F32", view.dtype())),
                Ok(view) if view.shape() != shape => wrong.push(format!("{name} is {:?}, not {shape:?}", view.shape())),
                Ok(view) => {
                    let values: Vec<f32> =
                        view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                    let (name, shape, value) = (name.clone(), shape.clone(), settled(&tensor(values, device)));
                    parameters.push(Parameter { name, shape, value, trainable: true });
                }
            }
        }
        let known = |name: &str| expected.iter().any(|(known, _)| known == name);
        wrong.extend(file.names().iter().filter(|name| !known(name)).map(|name| format!("surplus {name}")));
        give_back(device);
        if wrong.is_empty() {
            Ok(Parameters(parameters))
        } else {
            Err(Error::Other(format!("{} does not fit its config.json: {}", path.display(), wrong.join(", "))))
        }
    }
}

/// Writes a safetensors file that PyTorch's libraries read (f32, metadata format "pt") of names, shapes and values.
pub fn write(path: &Path, tensors: Vec<(String, Vec<usize>, Vec<f32>)>) -> Result<()> {
    let bytes = |values: Vec<f32>| -> Vec<u8> { values.into_iter().flat_map(f32::to_le_bytes).collect() };
    let tensors: Vec<_> = tensors.into_iter().map(|(name, shape, values)| (name, shape, bytes(values))).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, bytes) in &tensors {
        views.push((name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(Error::other)?));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // Made here, it has the permissions of any new file; the library would make one for its owner alone.
    std::fs::File::create(path).doing("write", path)?;
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|error| Error::Other(format!("cannot write {}: {error}", path.display())))
}

/// The same numbers, on a GPU where room for vectors of their size is kept and never cut up: what a step of training makes of weights,
/// gradients and states takes the place there of what it needs no more.
pub fn settled(value: &Tensor<1>) -> Tensor<1> {
    let device = value.device();
    if ops::is_cpu(&device) {
        return value.clone();
    }
    // The caller's handle keeps the copy from being made in place.
    device.memory_persistent_allocations(value.clone(), |value: Tensor<1>| value.mul_scalar(1.0))
}

/// Gives a GPU's memory back that nothing lies in.
pub fn give_back(device: &Device) {
    if !ops::is_cpu(device) {
        device.memory_cleanup();
    }
}

/// The values of a tensor on the host.
pub fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

/// A vector on a device.
pub fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
