//! What every verb about one model takes: a folder or a name on the hub, and a device.

use super::study::device;
use crate::error::{Error, Result};
use crate::hub::{self, Hub, Progress};
use burn::tensor::Device;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Model {
    /// A folder in Hugging Face layout, or hub:OWNER/NAME[@REVISION]
    #[arg(value_name = "MODEL")]
    name: String,
    /// Where tensors live
    #[arg(long, env = "DPO_LAB_DEVICE", default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// Never use the network
    #[arg(long, env = "DPO_LAB_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    offline: bool,
}

impl Model {
    /// The folder, fetched if it has to be, and the device.
    pub(super) fn open(&self) -> Result<(PathBuf, Device)> {
        Ok((folder(&self.name, self.offline)?, device(&self.device)?))
    }
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
