//! `dpo-lab show`

use super::Results;
use super::status::studies;
use crate::error::{Error, Exit, Result};
use crate::report::rows::FrontierRow;
use crate::stages::read_csv;
use crate::store::Store;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// A run's name, or the start of it
    run: String,
    #[command(flatten)]
    results: Results,
}

impl Show {
    pub(super) fn run(self) -> Result<Exit> {
        let store = Store::open(&self.results.results)?;
        for saved in studies(&self.results, &[])? {
            let Some(run) = saved.runs.iter().find(|run| run.starts_with(&self.run)) else { continue };
            let folder = self.results.results.join(&saved.study);
            say!("{run}\n  study   {}\n  folder  {}", saved.study, folder.join("runs").join(run).display());
            let label = run.rsplit_once('-').map_or(run.as_str(), |(label, _)| label);
            let segment = saved.stages.iter().find(|stage| stage.label.starts_with(&format!("train {label} 0-")));
            if let Some(segment) = segment {
                say!("  values  {}", segment.parameters);
            }
            let trained = saved.stages.iter().rfind(|stage| stage.label.starts_with(&format!("train {label} ")));
            if let Some(last) = trained {
                say!("  model   {}", store.path(&last.key).join("model").display());
            }
            for row in
                read_csv::<FrontierRow>(&folder.join("frontier.csv")).unwrap_or_default().iter().filter(|row| row.run == *run)
            {
                let reward = if row.reward_mean.is_nan() {
                    "unknown".into()
                } else {
                    format!("{:.3} ± {:.3}", row.reward_mean, row.reward_se)
                };
                say!("  step {:>5}  true reward {reward}  KL {:.3} ± {:.3} nats", row.step, row.kl_mean, row.kl_se);
            }
            return Ok(Exit::Done);
        }
        Err(Error::Usage(format!("error: no study has a run `{}`\nhelp: runs.csv in a study's folder lists them", self.run)))
    }
}
