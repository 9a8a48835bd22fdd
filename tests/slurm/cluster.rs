//! A Slurm of one machine for one test: a controller and one node, on ports and in a folder of their own, with no
//! authentication and no accounting. All of it ends with the test, also where that fails.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Cores that the node says it has: enough for several stages at once, on any machine.
const CORES: usize = 4;

/// Where Slurm's programs are.
struct Programs {
    controller: PathBuf,
    node: PathBuf,
    /// The program that the node runs jobs with; its own place, where this is none.
    step: Option<PathBuf>,
    /// Folder of sbatch and its like.
    commands: PathBuf,
    /// Folder of Slurm's plugins; what it was built with, where this is none.
    plugins: Option<PathBuf>,
}

impl Programs {
    /// What is installed, or else what install.sh has unpacked.
    fn find() -> Option<Self> {
        let installed = Programs {
            controller: "/usr/sbin/slurmctld".into(),
            node: "/usr/sbin/slurmd".into(),
            step: None,
            commands: "/usr/bin".into(),
            plugins: None,
        };
        if installed.controller.exists() && installed.node.exists() && installed.commands.join("sbatch").exists() {
            return Some(installed);
        }
        let usr = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/slurm/usr");
        let plugins =
            fs::read_dir(usr.join("lib")).ok()?.flatten().map(|entry| entry.path().join("slurm-wlm")).find(|p| p.exists());
        let unpacked = Programs {
            controller: usr.join("sbin/slurmctld-wlm"),
            node: usr.join("sbin/slurmd-wlm"),
            step: Some(usr.join("sbin/slurmstepd-wlm")),
            commands: usr.join("bin"),
            plugins: Some(plugins?),
        };
        unpacked.controller.exists().then_some(unpacked)
    }
}

/// A running Slurm.
pub struct Cluster {
    folder: tempfile::TempDir,
    programs: Programs,
    daemons: Vec<Child>,
}

impl Cluster {
    /// Starts one; where the packages are missing, says that the test skips.
    pub fn start() -> Option<Self> {
        let Some(programs) = Programs::find() else {
            println!("skipped: Slurm is not here; tests/slurm/install.sh unpacks Debian's");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("slurm").tempdir().expect("a folder");
        let mut cluster = Cluster { folder, programs, daemons: Vec::new() };
        for name in ["state", "spool", "a lab"] {
            fs::create_dir(cluster.path(name)).expect(name);
        }
        fs::write(cluster.path("slurm.conf"), cluster.configuration()).expect("written");
        cluster.daemon(&cluster.programs.controller.clone(), &[]);
        let step = cluster.programs.step.clone();
        let arguments: Vec<&Path> = step.iter().flat_map(|step| [Path::new("-d"), step]).collect();
        cluster.daemon(&cluster.programs.node.clone(), &arguments);
        wait_for("the node is idle", 60, || {
            let answer = cluster.command("sinfo").args(["--noheader", "--format=%T"]).output().expect("sinfo starts");
            String::from_utf8_lossy(&answer.stdout).trim() == "idle"
        });
        Some(cluster)
    }

    /// The folder for studies; its name has a space, as people's have.
    pub fn lab(&self) -> PathBuf {
        self.path("a lab")
    }

    /// A command that knows this Slurm: one of its own by name, or any other by its path.
    pub fn command(&self, program: &str) -> Command {
        let own = self.programs.commands.join(program);
        let mut command = Command::new(if own.exists() { own } else { program.into() });
        self.environment(&mut command);
        command.current_dir(self.lab());
        command
    }

    /// dpo-lab in the folder for studies.
    pub fn lab_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_dpo-lab"));
        command.args(arguments);
        command
    }

    /// What dpo-lab says.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.lab_command(arguments).output().expect("dpo-lab starts")
    }

    /// Job and state of everything in the queue.
    pub fn queue(&self) -> Vec<(String, String)> {
        let arguments = ["--array", "--noheader", "--format=%i %T"];
        let answer = self.command("squeue").args(arguments).output().expect("squeue starts");
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        text.lines().filter_map(|line| line.split_once(' ')).map(|(job, state)| (job.to_owned(), state.to_owned())).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn environment(&self, command: &mut Command) {
        let before = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{before}", self.programs.commands.display())).env("SLURM_CONF", self.path("slurm.conf"));
        if let Some(libraries) = self.programs.plugins.as_ref().and_then(|plugins| Some((plugins, plugins.parent()?))) {
            command.env("LD_LIBRARY_PATH", format!("{}:{}", libraries.1.display(), libraries.0.display()));
        }
    }

    /// Starts a daemon that the kernel ends with this test's thread, should nobody else.
    fn daemon(&mut self, program: &Path, arguments: &[&Path]) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).arg("-D").args(arguments);
        self.environment(&mut command);
        let output = || fs::File::create(self.path("daemons.log")).expect("a log");
        let child = command.stdin(Stdio::null()).stdout(output()).stderr(output()).spawn();
        self.daemons.push(child.expect("setpriv starts"));
    }

    fn configuration(&self) -> String {
        let folder = self.folder.path().display();
        let said = |program: &str, argument: &[&str]| {
            let output = Command::new(program).args(argument).output().expect(program);
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let (host, user) = (said("uname", &["-n"]), said("id", &["-un"]));
        // Held together, so that they differ; somebody else may take one before Slurm does, but hardly.
        let ports = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [controller, node] = ports.map(|port| port.local_addr().expect("its number").port());
        let plugins = self.programs.plugins.as_ref().map(|path| format!("PluginDir={}\n", path.display())).unwrap_or_default();
        format!(
            "ClusterName=one\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={controller}\nSlurmdPort={node}\n{plugins}\
             AuthType=auth/none\nCredType=cred/none\nSlurmUser={user}\nSlurmdUser={user}\nMailProg=/bin/true\nMpiDefault=none\n\
             StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\nTmpFS={folder}\nJobCompType=jobcomp/none\n\
             SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n\
             SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd.log\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nReturnToService=2\nKillWait=2\n\
             SchedulerType=sched/builtin\nSchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nSlurmdParameters=config_overrides\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs={CORES} State=UNKNOWN\n\
             PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["slurmctld.log", "slurmd.log", "daemons.log"] {
                let text = fs::read_to_string(self.path(name)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("{name}:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
            }
        }
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // Jobs have parents of their own; what belongs to this Slurm has its folder in its environment.
        let folder = self.folder.path().display().to_string();
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            let left = processes_of(&folder);
            if left.is_empty() {
                break;
            }
            let _ = Command::new("kill").arg("-KILL").args(left).stderr(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Processes whose environment names this folder.
fn processes_of(folder: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = |bytes: &[u8]| bytes.windows(folder.len()).any(|part| part == folder.as_bytes());
    let belongs = |path: &Path| fs::read(path.join("environ")).is_ok_and(|environment| names(&environment));
    entries
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) && belongs(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Waits until something holds.
#[track_caller]
pub fn wait_for(what: &str, seconds: u64, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < until, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
