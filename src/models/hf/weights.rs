//! Tensors of a model's safetensors files, one file or several with an index, memory-mapped and widened to f32 one by one.

use crate::bounded;
use crate::error::{Doing, Error, Result};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Component, Path, PathBuf};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The weights of a folder.
pub struct Weights {
    files: Vec<Mapped>,
    /// File of every tensor, and what its header says.
    tensors: HashMap<String, (usize, TensorInfo)>,
    place: PathBuf,
}

struct Mapped {
    path: PathBuf,
    bytes: Mmap,
    /// Where the first tensor begins.
    data: usize,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Opens model.safetensors, or the files that model.safetensors.index.json names.
    pub fn open(folder: &Path) -> Result<Self> {
        let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
        if single.is_file() {
            return Weights::of(single.clone(), &[single]);
        }
        if !index.is_file() {
            let what = if folder.join("pytorch_model.bin").is_file() {
                "holds pytorch_model.bin, which can run code when it is read; save the model again with safe_serialization=True"
            } else {
                "has no model.safetensors and no model.safetensors.index.json; copy the weights there"
            };
            return Err(Error::Data(format!("{} {what}", folder.display())));
        }
        let damaged = |what: String| Error::Data(format!("{}: {what}", index.display()));
        let bytes = bounded::read(&index, bounded::SETTINGS).doing("read", &index)?;
        let names: Index = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let mut files: Vec<&String> = names.weight_map.values().collect();
        files.sort();
        files.dedup();
        let path = |name: &&String| match Path::new(name).components().collect::<Vec<_>>()[..] {
            [Component::Normal(_)] => Ok(folder.join(name)),
            _ => Err(damaged(format!("\"{name}\" is not the name of a file in the same folder"))),
        };
        let paths = files.iter().map(path).collect::<Result<Vec<_>>>()?;
        if let Some(absent) = paths.iter().find(|path| !path.is_file()) {
            return Err(damaged(format!("{} is not there; copy it to the same folder", absent.display())));
        }
        let weights = Weights::of(index.clone(), &paths)?;
        for (name, file) in &names.weight_map {
            let there = weights.tensors.get(name).map(|(index, _)| &weights.files[*index].path);
            if there != Some(&folder.join(file)) {
                return Err(damaged(format!("{name} should be in {file}, and is not; copy that file again")));
            }
        }
        Ok(weights)
    }

    /// Opens files whose tensors belong together; messages name `place`.
    pub(super) fn of(place: PathBuf, paths: &[PathBuf]) -> Result<Self> {
        let (mut files, mut tensors) = (Vec::new(), HashMap::new());
        for path in paths {
            let file = File::open(path).doing("open", path)?;
            // SAFETY: the map is only read. A process that cuts the file while it is read would end this one; nothing can be made of
            // such weights anyway.
            let bytes = unsafe { Mmap::map(&file) }.doing("map", path)?;
            let damaged =
                |error| Error::Data(format!("{} is damaged or no safetensors file: {error}; copy it again", path.display()));
            let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
            for (name, info) in metadata.tensors() {
                if tensors.insert(name.clone(), (files.len(), info.clone())).is_some() {
                    return Err(Error::Data(format!("{}: {name} is in two files", path.display())));
                }
            }
            // The header's length stands before it in 8 bytes.
            files.push(Mapped { path: path.clone(), bytes, data: header + 8 });
        }
        Ok(Weights { files, tensors, place })
    }

    /// The file, or the index, for messages.
    pub fn place(&self) -> std::path::Display<'_> {
        self.place.display()
    }

    /// Names of all tensors, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape of a tensor that is there.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(_, info)| info.shape.clone())
    }

    /// A tensor's values, row by row.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let (file, info) = self.tensors.get(name).ok_or_else(|| Error::Data(format!("{} has no tensor {name}", self.place())))?;
        let file = &self.files[*file];
        let wrong = |what: String| Error::Data(format!("{}: {name} {what}", file.path.display()));
        let (first, end) = info.data_offsets;
        let bytes = file.bytes.get(file.data + first..file.data + end);
        let bytes = bytes.ok_or_else(|| wrong("lies beyond the file's end; copy the file again".into()))?;
        let values: Vec<f32> = match info.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            other => return Err(wrong(format!("is {other:?}; f32, f16 and bf16 are read"))),
        };
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(wrong(format!("is {} at element {index}; such a model can't be used", values[index]))),
        }
    }
}
