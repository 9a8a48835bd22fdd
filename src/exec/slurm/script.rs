//! The text of what sbatch is handed: options as `#SBATCH` lines, then a few lines of bash that become the worker. Pure.
//!
//! sbatch itself splits `#SBATCH` lines into words, with double quotes and backslashes as in a shell, and takes `#` outside of
//! quotes for a comment; `%` starts a pattern in the names of outputs (sbatch's manual, "filename pattern").

use super::grouping::{Group, Job, Need};
use crate::spec;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Seconds before the time limit at which a worker is asked to stop, so that it can keep a checkpoint.
const NOTICE_SECONDS: u64 = 60;

/// What all scripts of a study share. Every path is absolute: jobs start elsewhere.
pub struct Script<'a> {
    /// The study.
    pub study: &'a str,
    /// What is asked for.
    pub settings: &'a spec::Slurm,
    /// Where a worker's tensors live.
    pub device: &'a str,
    /// How often a training stage keeps a checkpoint.
    pub checkpoint_every: Duration,
    /// dpo-lab.
    pub program: PathBuf,
    /// Where it was started: paths in --set are relative to it.
    pub folder: PathBuf,
    /// --results
    pub results: PathBuf,
    /// The folder of all stages' work folders.
    pub works: PathBuf,
    /// Where Slurm's own messages go, and what is printed before a stage's log is open.
    pub log: PathBuf,
}

impl Script<'_> {
    /// A group's script. `dependency` is what --dependency takes, or empty; `at_once` limits an array.
    pub fn of_group(&self, group: &Group, dependency: &str, at_once: usize) -> String {
        let mut text = self.head(group.kind.name(), dependency);
        line(&mut text, "gres", self.settings.gres.as_deref());
        // Asked of the batch process alone, which is the worker after `exec`.
        line(&mut text, "signal", Some(&format!("B:TERM@{NOTICE_SECONDS}")));
        let array: Vec<String> = group.tasks.iter().filter_map(|(number, _)| Some(number.as_ref()?.to_string())).collect();
        if !array.is_empty() {
            line(&mut text, "array", Some(&format!("{}%{at_once}", array.join(","))));
        }
        self.options(&mut text);
        let keys = group.tasks.iter().map(|(number, stage)| format!("[{}]={}", number.unwrap_or(0), stage.key));
        let _ = writeln!(text, "\nkeys=({})", keys.collect::<Vec<_>>().join(" "));
        text += "key=${keys[${SLURM_ARRAY_TASK_ID:-0}]}\n";
        let _ = writeln!(text, "exec >{}/\"$key\"/log 2>&1 || exit 1", quoted(&self.works));
        self.setup(&mut text);
        let (program, results) = (quoted(&self.program), quoted(&self.results));
        let (device, minutes) = (self.device, self.checkpoint_every.as_secs_f64() / 60.0);
        let _ =
            writeln!(text, "exec {program} stage \"$key\" --device {device} --checkpoint-minutes {minutes} --results {results}");
        text
    }

    /// The script of the job that draws the report; it computes little.
    pub fn of_report(&self, dependency: &str) -> String {
        let mut text = self.head("report", dependency);
        self.options(&mut text);
        text.push('\n');
        self.setup(&mut text);
        let (program, results) = (quoted(&self.program), quoted(&self.results));
        // The study's name is letters, digits, `-`, `_` and `.`.
        let _ = writeln!(text, "exec {program} report {} --device cpu --results {results}", self.study);
        text
    }

    fn head(&self, what: &str, dependency: &str) -> String {
        let mut text = "#!/bin/bash\n".to_owned();
        line(&mut text, "job-name", Some(&format!("{}-{what}", self.study)));
        line(&mut text, "chdir", Some(&self.folder.display().to_string()));
        line(&mut text, "output", Some(&self.log.display().to_string().replace('%', "%%")));
        line(&mut text, "open-mode", Some("append"));
        // A stage that cannot start any more leaves the queue; one that lost its node, or had to make room, comes back.
        line(&mut text, "kill-on-invalid-dep", Some("yes"));
        text += "#SBATCH --requeue\n";
        line(&mut text, "dependency", Some(dependency).filter(|dependency| !dependency.is_empty()));
        let spec::Slurm { partition, account, time, cpus_per_task, mem, .. } = self.settings;
        for (name, value) in [("partition", partition), ("account", account), ("time", time), ("mem", mem)] {
            line(&mut text, name, value.as_deref());
        }
        line(&mut text, "cpus-per-task", cpus_per_task.map(|count| count.to_string()).as_deref());
        text
    }

    fn options(&self, text: &mut String) {
        for option in &self.settings.options {
            let _ = writeln!(text, "#SBATCH {option}");
        }
    }

    fn setup(&self, text: &mut String) {
        // Where Slurm does not confine jobs to their cores, a worker would take the node's.
        *text += "export RAYON_NUM_THREADS=${SLURM_CPUS_ON_NODE:-1}\n";
        for line in &self.settings.setup {
            let _ = writeln!(text, "{line}");
        }
    }
}

/// What --dependency takes: all of it has to hold. `numbers` are those that sbatch gave to the groups before, and `ended` is
/// what must have ended, well or not.
pub fn dependency(group: &Group, numbers: &[u64], ended: &[u64]) -> String {
    let number = |job: &Job| match job {
        Job::Group(place) => numbers.get(*place).copied().unwrap_or_default(),
        Job::Queued(number) => *number,
    };
    let need = |need: &Need| match need {
        Need::Same(job, None) => format!("afterok:{}", number(job)),
        Need::Same(job, Some(task)) => format!("afterok:{}_{task}", number(job)),
        Need::Corresponding(job) => format!("aftercorr:{}", number(job)),
    };
    group.needs.iter().map(need).chain(after(ended)).collect::<Vec<_>>().join(",")
}

/// The dependency on the end of jobs, well or not.
pub fn after(ended: &[u64]) -> Option<String> {
    let numbers: Vec<String> = ended.iter().map(u64::to_string).collect();
    (!numbers.is_empty()).then(|| format!("afterany:{}", numbers.join(":")))
}

/// One `#SBATCH` line, if there is a value.
fn line(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(text, "#SBATCH --{name}=\"{value}\"");
    }
}

/// A path as one word of bash.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Kind, Stage, Work};
    use std::collections::{BTreeMap, BTreeSet};

    fn stage(seed: u64) -> Stage {
        Stage::new(format!("stage {seed}"), Work::Classifier { seed }, BTreeMap::new(), None, None)
    }

    fn script(settings: &spec::Slurm) -> Script<'_> {
        Script {
            study: "small",
            settings,
            device: "cuda:0",
            checkpoint_every: Duration::from_secs(600),
            program: "/opt/it's here/dpo-lab".into(),
            folder: "/home/a \"b\"".into(),
            results: "/scratch/my results".into(),
            works: "/scratch/my results/.store/work".into(),
            log: "/scratch/100%/slurm.log".into(),
        }
    }

    #[test]
    fn an_array_names_its_stages_by_number_and_writes_their_own_logs() {
        let settings = spec::Slurm { gres: Some("gpu:1".into()), setup: vec!["module load cuda".into()], ..Default::default() };
        let (one, two) = (stage(1), stage(2));
        let group = Group { kind: Kind::Classifier, tasks: vec![(Some(0), &one), (Some(3), &two)], needs: BTreeSet::new() };
        let text = script(&settings).of_group(&group, "afterok:7", 5);
        let wanted = [
            "#SBATCH --array=\"0,3%5\"\n",
            "#SBATCH --dependency=\"afterok:7\"\n",
            "#SBATCH --gres=\"gpu:1\"\n",
            "#SBATCH --kill-on-invalid-dep=\"yes\"\n",
            "#SBATCH --chdir=\"/home/a \\\"b\\\"\"\n",
            "#SBATCH --output=\"/scratch/100%%/slurm.log\"\n",
            &format!("keys=([0]={} [3]={})\n", one.key, two.key),
            "exec >'/scratch/my results/.store/work'/\"$key\"/log 2>&1",
            "module load cuda\nexec '/opt/it'\\''s here/dpo-lab' stage \"$key\" --device cuda:0 --checkpoint-minutes 10 \
             --results '/scratch/my results'\n",
        ];
        for part in wanted {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_report_asks_for_no_gpu() {
        let settings = spec::Slurm { gres: Some("gpu:1".into()), options: vec!["--qos=long".into()], ..Default::default() };
        let text = script(&settings).of_report("afterany:1:2");
        assert!(!text.contains("gres") && text.contains("#SBATCH --qos=long\n"), "{text}");
        assert!(text.ends_with(" report small --device cpu --results '/scratch/my results'\n"), "{text}");
    }

    #[test]
    fn needs_become_dependencies_that_must_all_hold() {
        let needs = [Need::Same(Job::Queued(3), None), Need::Same(Job::Group(0), Some(2)), Need::Corresponding(Job::Group(1))];
        let one = stage(1);
        let group = Group { kind: Kind::Classifier, tasks: vec![(None, &one)], needs: needs.into() };
        assert_eq!(dependency(&group, &[11, 12], &[]), "afterok:11_2,afterok:3,aftercorr:12");
        assert_eq!(dependency(&group, &[11, 12], &[5, 6]), "afterok:11_2,afterok:3,aftercorr:12,afterany:5:6");
    }
}
