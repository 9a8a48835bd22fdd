//! What every verb about one model takes: a folder or a name on the hub, and a device. A folder of adapters stands for the model that
//! they belong to, with them attached.

use crate::error::{Error, Result};
use crate::hub::{self, Hub, Progress};
use crate::machine::device;
use crate::models::hf::peft;
use crate::models::{Decoder, Policy};
use burn::tensor::Device;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Model {
    /// A folder in Hugging Face layout, or hub:OWNER/NAME[@REVISION]
    #[arg(value_name = "MODEL")]
    name: String,
    /// The model that adapters belong to, where MODEL is a folder of such; otherwise it is the one that they name
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,
    /// Where tensors live
    #[arg(long, env = "DPO_LAB_DEVICE", value_name = "DEVICE")]
    device: Option<String>,
    /// Never use the network
    #[arg(long, env = "DPO_LAB_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    offline: bool,
}

/// A model that was found.
pub(super) struct Opened {
    /// Its folder, or that of the model that adapters belong to.
    pub(super) folder: PathBuf,
    /// Where tensors live.
    pub(super) device: Device,
    adapter: Option<PathBuf>,
}

impl Model {
    /// Finds the folder, fetched if it has to be, and the device.
    pub(super) fn open(&self) -> Result<Opened> {
        let named = folder(&self.name, self.offline)?;
        let (_, device) = device::one(self.device.as_deref())?;
        if !peft::is_adapter(&named) {
            if self.base.is_some() {
                let what = format!("--base, but {} holds no adapters", named.display());
                return Err(Error::Usage(format!(
                    "error: {what}\nhelp: leave out --base, or name a folder with {}",
                    peft::CONFIG
                )));
            }
            return Ok(Opened { folder: named, device, adapter: None });
        }
        let base = match &self.base {
            Some(base) => folder(base, self.offline)?,
            None => base_of(&named, self.offline)?,
        };
        Ok(Opened { folder: base, device, adapter: Some(named) })
    }
}

impl Opened {
    /// The model with its tokenizer.
    pub(super) fn policy(&self) -> Result<Policy> {
        let policy = Policy::load(&self.folder, &self.device)?;
        Ok(policy.with(self.with_adapters(policy.decoder.clone())?))
    }

    /// A model of the folder, with the adapters that were named.
    pub(super) fn with_adapters(&self, decoder: Decoder) -> Result<Decoder> {
        match &self.adapter {
            Some(adapter) => decoder.load_adapters(adapter, &self.device),
            None => Ok(decoder),
        }
    }
}

/// The model that a folder's adapters name: a folder as seen from theirs or from here, or a name on the hub.
fn base_of(adapter: &Path, offline: bool) -> Result<PathBuf> {
    let unknown = |what: String| {
        Error::Usage(format!(
            "error: {}: {what}\nhelp: name the model that the adapters belong to with --base",
            adapter.display()
        ))
    };
    let name = peft::base(adapter)?.ok_or_else(|| unknown(format!("{} names no base model", peft::CONFIG)))?;
    if let Some(found) = [adapter.join(&name), PathBuf::from(&name)].into_iter().find(|folder| folder.is_dir()) {
        return Ok(found);
    }
    let on_hub = name.split('/').count() == 2 && !name.starts_with(['.', '/']);
    if !on_hub {
        return Err(unknown(format!("its base model {name} is not there")));
    }
    folder(&format!("{}{name}", hub::PREFIX), offline).map_err(|error| unknown(error.to_string()))
}

/// The folder of a model that somebody named; one on the hub is fetched.
pub(super) fn folder(name: &str, offline: bool) -> Result<PathBuf> {
    if name.starts_with(hub::PREFIX) {
        let name: hub::Name = name.parse()?;
        return Ok(Hub::new(offline)?.model(&name, &mut downloads())?.folder);
    }
    let folder = PathBuf::from(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Error::Usage(format!(
        "error: there is no folder {name}\nhelp: name a folder in Hugging Face layout, or a model of the hub as hub:OWNER/NAME"
    )))
}

/// Draws a bar for every file that is downloaded; on anything but a terminal, a line.
pub(super) fn downloads() -> impl FnMut(Progress) {
    let mut current: Option<(String, ProgressBar)> = None;
    move |progress: Progress| {
        if current.as_ref().is_none_or(|(file, _)| *file != progress.file) {
            if let Some((_, bar)) = current.take() {
                bar.finish_and_clear();
            }
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{msg}  {bar:30}  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left")
            {
                bar.set_style(style);
            }
            bar.set_message(progress.file.clone());
            if bar.is_hidden() {
                tell!("fetching {}", progress.file);
            }
            current = Some((progress.file.clone(), bar));
        }
        let Some((_, bar)) = &current else { return };
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
        if progress.total == Some(progress.done) {
            bar.finish_and_clear();
        }
    }
}
