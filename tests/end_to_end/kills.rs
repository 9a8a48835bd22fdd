//! A study survives anything: kills of workers, of the runner and of everything, Ctrl-C, a full disk, another runner on the same
//! store. Whatever happens, the same command goes on, and ends with the numbers of a study that was left alone.

use super::{Lab, children, stderr};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Kills that have to hit something that runs.
const KILLS: usize = 50;

/// Training long enough to be hit, with a checkpoint every few steps.
const OFTEN: &[&str] = &["-q", "--jobs", "2", "--checkpoint-minutes", "0.0005", "--set", "base.steps=60"];

fn send(signal: &str, process: u32) {
    let _ = Command::new("kill").args([signal, &process.to_string()]).stderr(Stdio::null()).status();
}

fn start(lab: &Lab, arguments: &[&str]) -> Child {
    let mut command = lab.command(&[&["run", "study.toml"], arguments].concat());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

/// Uniform numbers; how a kill falls into the work is up to the machine anyway.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Whether any worker of this lab still lives.
fn any_worker(lab: &Lab) -> bool {
    let here = lab.folder.path().canonicalize().expect("a folder");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.into_iter().any(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == here))
}

#[test]
fn fifty_kills_at_random_moments_change_no_byte() {
    let (left_alone, killed) = (Lab::new(), Lab::new());
    left_alone.run(OFTEN);
    let wanted = left_alone.frontier();
    let mut dice = Dice(0x5eed_0f2a_11d1_ce77);
    let (mut kills, mut finished) = (0, 0);
    while kills < KILLS {
        let mut runner = start(&killed, OFTEN);
        std::thread::sleep(Duration::from_millis(60 + dice.below(700)));
        if let Some(status) = runner.try_wait().expect("waited") {
            // It was done before anybody could kill it: a whole study in between, which must be right, too.
            assert!(status.success(), "{status} after {kills} kills");
            assert_eq!(killed.frontier(), wanted, "after {kills} kills");
            finished += 1;
            fs::remove_dir_all(killed.folder.path().join("results")).expect("removed");
            continue;
        }
        let workers = children(runner.id());
        match (dice.below(3), workers.first()) {
            // One stage: the runner does what does not depend on it, and says so.
            (0, Some(worker)) => {
                send("-9", *worker);
                let code = runner.wait().expect("ended").code();
                assert!(matches!(code, Some(0 | 100)), "{code:?}");
            }
            // The runner alone: its workers finish what they have.
            (1, _) => {
                send("-9", runner.id());
                let _ = runner.wait();
            }
            // A machine that is switched off.
            _ => {
                send("-9", runner.id());
                workers.into_iter().for_each(|worker| send("-9", worker));
                let _ = runner.wait();
            }
        }
        kills += 1;
    }
    killed.run(OFTEN);
    assert_eq!(killed.frontier(), wanted, "after {kills} kills and {finished} whole studies");
    let store = killed.folder.path().join("results/.store");
    assert_eq!(fs::read_dir(store.join("drafts")).map(Iterator::count).unwrap_or(0), 0, "nothing half-made is left");
    let checkpoints =
        fs::read_dir(store.join("work")).expect("work").flatten().filter(|work| work.path().join("checkpoint").exists());
    assert_eq!(checkpoints.count(), 0, "no checkpoint outlives its stage");
}

/// A runner that dies between its last stage and its tables leaves tables of before.
#[test]
fn tables_of_a_part_are_drawn_again_once_all_is_there() {
    let (left_alone, lab) = (Lab::new(), Lab::new());
    left_alone.run(&["-q"]);
    let whole = left_alone.frontier();
    // Tables of a part, as after a failure; then the rest appears, and nobody is there to draw.
    lab.run(&["-q", "--only", "unlikelihood"]);
    assert_ne!(lab.frontier(), whole);
    let store = |lab: &Lab| lab.folder.path().join("results/.store");
    fs::remove_dir_all(store(&lab)).expect("removed");
    fs::rename(store(&left_alone), store(&lab)).expect("moved");
    lab.run(&["-q"]);
    assert_eq!(lab.frontier(), whole);
}

/// Waits until the log of the base model's stage, or its checkpoint folder, shows that it trains.
fn wait_for_training(lab: &Lab) -> std::path::PathBuf {
    let began = Instant::now();
    let work = lab.folder.path().join("results/.store/work");
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing trained");
        let trains = |folder: &Path| fs::read_to_string(folder.join("status.json")).is_ok_and(|text| text.contains("training"));
        let found = fs::read_dir(&work).into_iter().flatten().flatten().map(|entry| entry.path()).find(|path| trains(path));
        if let Some(folder) = found {
            return folder;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_once_keeps_a_checkpoint_that_the_same_command_goes_on_from() {
    let (left_alone, stopped) = (Lab::new(), Lab::new());
    let arguments = ["--jobs", "1", "--set", "base.steps=400"];
    left_alone.run(&arguments);
    let mut runner = start(&stopped, &arguments);
    let work = wait_for_training(&stopped);
    send("-INT", runner.id());
    assert_eq!(runner.wait().expect("ended").code(), Some(130));
    assert!(!any_worker(&stopped), "nothing runs on");
    let kept: Vec<_> = fs::read_dir(work.join("checkpoint")).expect("a checkpoint").flatten().collect();
    assert_eq!(kept.len(), 1);
    let status = fs::read_to_string(work.join("status.json")).expect("a status");
    assert!(status.contains("\"stopped\""), "{status}");
    stopped.run(&arguments);
    let log = fs::read_to_string(work.join("log")).expect("a log");
    assert!(log.contains("goes on from the checkpoint after step"), "{log}");
    assert_eq!(stopped.frontier(), left_alone.frontier());
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let lab = Lab::new();
    let mut runner = start(&lab, &["--jobs", "1", "--set", "base.steps=1000000"]);
    let work = wait_for_training(&lab);
    // Stopped workers cannot keep a checkpoint: only the second Ctrl-C ends this.
    let workers = children(runner.id());
    workers.iter().for_each(|worker| send("-STOP", *worker));
    send("-INT", runner.id());
    std::thread::sleep(Duration::from_millis(400));
    assert!(runner.try_wait().expect("waited").is_none(), "it waits for its workers");
    send("-INT", runner.id());
    assert_eq!(runner.wait().expect("ended").code(), Some(130));
    assert!(!any_worker(&lab) && !work.join("checkpoint").exists());
}

#[test]
fn two_runners_share_the_work_and_do_no_stage_twice() {
    let lab = Lab::new();
    let run = || {
        let mut command = lab.command(&["run", "study.toml", "--jobs", "1", "--set", "base.steps=30"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts")
    };
    let outputs = [run(), run()].map(|runner| runner.wait_with_output().expect("ends"));
    let said: Vec<String> = outputs.iter().map(stderr).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{said:?}");
    let done = |text: &String| text.lines().filter(|line| line.contains(": done after")).count();
    let work: Vec<_> = fs::read_dir(lab.folder.path().join("results/.store/work")).expect("work").flatten().collect();
    let (one, other, stages) = (done(&said[0]), done(&said[1]), work.len());
    // A stage that both saw as free in the same moment is made by one while the other's worker waits; then both say that it is done.
    let log = |folder: &fs::DirEntry| fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let waited = work.iter().filter(|folder| log(folder).contains("another process has made this stage")).count();
    assert!(one + other <= stages + waited, "{one} and {other} of {stages} stages, {waited} of them waited for");
    assert!(waited < stages / 2, "{waited} of {stages} stages were waited for");
}

/// A file system of one megabyte, where this process may mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder");
        let mut mount = Command::new("mount");
        let options = format!("size={size}");
        let mount = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(SmallDisk(at))
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0).status().expect("mount").success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_costs_nothing_that_was_finished() {
    let (left_alone, lab) = (Lab::new(), Lab::new());
    let results = lab.folder.path().join("results");
    let Some(disk) = SmallDisk::mount(&results, "3m") else {
        println!("skipped: a full disk needs the right to mount one");
        return;
    };
    left_alone.run(OFTEN);
    let full = lab.lab(&[&["run", "study.toml"], OFTEN].concat());
    assert!(matches!(full.status.code(), Some(1 | 100)), "{:?}: {}", full.status.code(), stderr(&full));
    assert!(stderr(&full).contains("No space left on device") || stderr(&full).contains("disk full"), "{}", stderr(&full));
    disk.grow("200m");
    lab.run(OFTEN);
    assert_eq!(lab.frontier(), left_alone.frontier());
}
