//! `[executor.*]`: what is asked of the place where stages run. No result depends on it, so that it is part of no key.

use super::source::Problem;
use super::study::Study;
use super::tree::{self, Table};
use super::validate::Checker;
use serde::{Deserialize, Serialize};

/// `[executor]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executors {
    /// `[executor.slurm]`
    pub slurm: Slurm,
}

/// `[executor.slurm]`: what every job of a study asks of Slurm. What is left out is the cluster's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slurm {
    /// The partition (sbatch's --partition), or several with commas.
    pub partition: Option<String>,
    /// The account that pays (--account).
    pub account: Option<String>,
    /// Longest time of one stage (--time): "30" (minutes), "4:00:00" or "1-12:00:00" (days first).
    pub time: Option<String>,
    /// Generic resources of a stage (--gres), for example "gpu:1". The job that draws the report asks for none.
    pub gres: Option<String>,
    /// Cores of a stage (--cpus-per-task).
    pub cpus_per_task: Option<u32>,
    /// Memory of a stage (--mem), for example "16G".
    pub mem: Option<String>,
    /// Lines of bash that stand before the worker, for example "module load cuda".
    pub setup: Vec<String>,
    /// More options of sbatch as they are typed there, for example "--qos=long".
    pub options: Vec<String>,
}

/// Options of sbatch that the executor itself sets.
const OWN_OPTIONS: [&str; 14] = [
    "--array",
    "--chdir",
    "--dependency",
    "--error",
    "--job-name",
    "--kill-on-invalid-dep",
    "--no-requeue",
    "--open-mode",
    "--output",
    "--parsable",
    "--requeue",
    "--signal",
    "--wait",
    "--wrap",
];

/// Takes the tables of executors out.
pub(super) fn executors(tables: &mut Table) -> Result<Executors, Problem> {
    let (mut executors, _) = tree::take_table(tables, "executor")?;
    let (slurm, at) = tree::take_table(&mut executors, "slurm")?;
    if let Some((key, _)) = executors.iter().next() {
        let what = format!("unknown executor `{}`", key.get_ref());
        return Err(Problem::at(key.span(), what).hint("the only executor with a table is [executor.slurm]"));
    }
    Ok(Executors { slurm: tree::read(slurm, at.unwrap_or_default())? })
}

/// Values that Slurm, or the script that is handed to it, would take for something else.
pub(super) fn validate(study: &Study, check: &mut Checker<'_>) {
    let Slurm { partition, account, time, gres, cpus_per_task, mem, setup, options } = &study.executors.slurm;
    let texts = [("partition", partition), ("account", account), ("time", time), ("gres", gres), ("mem", mem)];
    for (key, text) in texts.iter().filter_map(|(key, text)| Some((key, text.as_ref()?))) {
        let at = format!("executor.slurm.{key}");
        check.that(!text.trim().is_empty(), &at, &format!("`{key}` is empty"), "leave it out for the cluster's default");
        check.that(is_one_line(text), &at, ONE_LINE, "remove the line break");
    }
    for (key, lines) in [("setup", setup), ("options", options)] {
        let fine = lines.iter().all(|line| is_one_line(line));
        check.that(fine, &format!("executor.slurm.{key}"), ONE_LINE, "write each line as an item of the list");
    }
    let timed = time.as_ref().is_none_or(|time| is_time(time));
    let hint = "minutes, hours:minutes:seconds, or days-hours:minutes:seconds: \"30\", \"4:00:00\", \"1-12:00:00\"";
    check.that(timed, "executor.slurm.time", "this is no time that Slurm knows", hint);
    let at = "executor.slurm.cpus_per_task";
    check.that(*cpus_per_task != Some(0), at, "a stage needs at least 1 core", "leave it out for the cluster's default");
    for option in options {
        let named = option.split(['=', ' ']).next().unwrap_or_default();
        let at = "executor.slurm.options";
        let what = format!("`{option}` is no long option of sbatch");
        check.that(named.len() > 2 && named.starts_with("--"), at, &what, "write it as \"--name=value\"");
        let what = format!("`{named}` is set for every job already");
        check.that(!OWN_OPTIONS.contains(&named), at, &what, "remove it");
    }
}

const ONE_LINE: &str = "a value must be one line: it becomes one of the job script's";

fn is_one_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// sbatch's forms of a time: minutes\[:seconds\], hours:minutes:seconds, days-hours\[:minutes\[:seconds\]\], or no limit.
fn is_time(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (days, clock) = text.split_once('-').map_or((None, text), |(days, clock)| (Some(days), clock));
    let parts: Vec<&str> = clock.split(':').collect();
    matches!(text, "UNLIMITED" | "INFINITE") || (days.is_none_or(number) && parts.len() <= 3 && parts.into_iter().all(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::load;

    /// The table, or the message about it.
    fn read(table: &str) -> Result<Slurm, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("study.toml");
        std::fs::write(&file, format!("name = \"small\"\n[task.sentiment]\n[method.dpo]\n{table}\n")).expect("written");
        load(&file, &[]).map(|loaded| loaded.study.executors.slurm).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_read_and_none_is_needed() {
        assert_eq!(read(""), Ok(Slurm::default()));
        let text = "[executor.slurm]\npartition = \"gpu\"\naccount = \"lab\"\ntime = \"1-12:00:00\"\ngres = \"gpu:1\"\n\
                    cpus_per_task = 4\nmem = \"16G\"\nsetup = [\"module load cuda\"]\noptions = [\"--qos=long\"]";
        let slurm = read(text).expect("a table");
        assert_eq!((slurm.partition.as_deref(), slurm.cpus_per_task), (Some("gpu"), Some(4)));
        assert_eq!((slurm.setup, slurm.options), (vec!["module load cuda".to_owned()], vec!["--qos=long".to_owned()]));
    }

    #[test]
    fn mistakes_are_found_with_a_hint() {
        let cases = [
            ("[executor.slurm]\npartitoin = \"gpu\"", "did you mean `partition`?"),
            ("[executor.slum]", "[executor.slurm]"),
            ("[executor.slurm]\naccount = \"a\\n#SBATCH --uid=0\"", "must be one line"),
            ("[executor.slurm]\nsetup = [\"a\\nb\"]", "must be one line"),
            ("[executor.slurm]\ntime = \"two hours\"", "no time that Slurm knows"),
            ("[executor.slurm]\ntime = 30", "a string in quotes"),
            ("[executor.slurm]\ncpus_per_task = 0", "at least 1 core"),
            ("[executor.slurm]\noptions = [\"-q long\"]", "no long option"),
            ("[executor.slurm]\noptions = [\"--output=x\"]", "set for every job already"),
            ("[executor.slurm]\ngres = \"\"", "is empty"),
        ];
        for (table, wanted) in cases {
            let message = read(table).expect_err(table);
            assert!(message.contains(wanted) && message.contains("study.toml:"), "{table}: {message}");
        }
    }

    #[test]
    fn times_are_those_of_sbatch() {
        for time in ["30", "30:00", "4:00:00", "1-12", "1-12:30", "1-12:30:00", "UNLIMITED"] {
            assert!(is_time(time), "{time}");
        }
        for time in ["", "1:2:3:4", "1h", "-1", "1-", "1--2", ":"] {
            assert!(!is_time(time), "{time}");
        }
    }
}
