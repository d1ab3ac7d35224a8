//! The tour of `make demo`: a private network of real processes, two people, text and files both
//! ways through three hops, and nothing lost when nodes die or hang.
//!
//! It types what a person would type: every step is a command of `enjambre-node` or `enjambre`,
//! shown before it runs. Whatever happens, the network is stopped at the end.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes of the file that is sent: several rungs of the chunk ladder.
const FILE_BYTES: usize = 5_000_000;

fn main() -> ExitCode {
    let started = Instant::now();
    let dir = match std::env::args().nth(1) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::temp_dir().join(format!("enjambre-demo-{}", std::process::id())),
    };
    let result = Demo::new(&dir).and_then(|mut demo| {
        let told = demo.tell();
        demo.stop();
        told.map(|()| demo.summary)
    });
    match result {
        Ok(summary) => {
            println!("\n=== Summary ({:.0} s) ===", started.elapsed().as_secs_f64());
            for line in summary {
                println!("  {line}");
            }
            // Only what this run made is removed; a directory that was named stays.
            if std::env::args().nth(1).is_none() {
                let _ = std::fs::remove_dir_all(&dir);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nThe demo failed: {error}\nIts files are in {}", dir.display());
            ExitCode::FAILURE
        }
    }
}

struct Demo {
    dir: PathBuf,
    net: PathBuf,
    node_program: PathBuf,
    program: PathBuf,
    is_up: bool,
    summary: Vec<String>,
}

impl Demo {
    fn new(dir: &Path) -> Result<Self> {
        let here = std::env::current_exe()?;
        let programs = here
            .parent()
            .and_then(Path::parent)
            .ok_or("the demo's own path has no folder above it")?;
        let find = |name: &str| -> Result<PathBuf> {
            let path = programs.join(name);
            path.exists().then_some(path).ok_or_else(|| format!("{name} is not built").into())
        };
        std::fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            net: dir.join("net"),
            node_program: find("enjambre-node")?,
            program: find("enjambre")?,
            is_up: false,
            summary: Vec::new(),
        })
    }

    fn tell(&mut self) -> Result<()> {
        self.start()?;
        self.introduce()?;
        self.text_while_two_die()?;
        self.files_both_ways()?;
        self.text_while_one_hangs()
    }

    fn start(&mut self) -> Result<()> {
        heading("A private network: 12 service nodes and 4 authorities, each a process");
        self.is_up = true;
        let began = Instant::now();
        let ready = self.node(&["devnet", "up", "--detach"])?;
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "  ready at height {} with {} nodes after {seconds:.1} s",
            ready["height"], ready["nodes"]
        );
        let shown = self.show()?;
        for swarm in array(&shown["swarms"]) {
            println!("  swarm {} has {} members", swarm["id"], array(&swarm["members"]).len());
        }
        self.summary.push(format!(
            "12 nodes in {} swarms; a document needs {} of 4 signatures and has {}",
            array(&shown["swarms"]).len(),
            shown["threshold"],
            shown["signatures"]
        ));
        Ok(())
    }

    fn introduce(&mut self) -> Result<()> {
        heading("Two people with nothing but a random id");
        for name in ["ana", "ben"] {
            let account = self.user(name, &["account", "new", "--name", name])?;
            println!("  {name} is {}", text(&account["id"]));
        }
        println!("  Ben shows this code to Ana:");
        self.user_raw("ben", &["account", "qr"])?;
        let picture = self.dir.join("ben.png");
        self.user("ben", &["account", "qr", "--png", path(&picture)?])?;
        self.user("ana", &["contact", "add", "--qr", path(&picture)?, "--name", "ben"])?;
        let card = self.user("ana", &["account", "show"])?;
        self.user("ben", &["contact", "add", text(&card["card"]), "--name", "ana"])?;
        self.summary.push("contacts exchanged as a QR picture and as text".to_owned());
        Ok(())
    }

    fn text_while_two_die(&mut self) -> Result<()> {
        heading("Ana writes to Ben, then two members of Ben's swarm are killed");
        let sent = self.user("ana", &["send", "ben", "Hola, Ben!"])?;
        self.show_sent(&sent)?;
        let victims = self.members(text(&sent["swarm"]))?;
        let victims = victims.get(..2).ok_or("the swarm has fewer than two members")?.to_vec();
        for name in &victims {
            self.node(&["devnet", "kill", name])?;
            println!("  {name} killed with SIGKILL");
        }
        self.expect("ben", "Hola, Ben!")?;
        self.summary.push(format!(
            "text stored by {} of {} members was read after {} were killed",
            sent["copies"],
            sent["members"],
            victims.len()
        ));
        for name in &victims {
            self.node(&["devnet", "start", name])?;
        }
        println!("  {} started again", victims.join(" and "));
        Ok(())
    }

    fn files_both_ways(&mut self) -> Result<()> {
        heading("Files of 5 MB, both ways");
        for (from, to, seed) in [("ana", "ben", 1), ("ben", "ana", 2)] {
            let name = format!("from-{from}.bin");
            let source = self.dir.join(&name);
            std::fs::write(&source, noise(seed))?;
            let began = Instant::now();
            let sent = self.user(from, &["send", to, "--file", path(&source)?])?;
            self.show_sent(&sent)?;
            let up = began.elapsed().as_secs_f64();
            let save = self.dir.join(format!("{to}-saved"));
            let began = Instant::now();
            let args = ["receive", "--timeout", "30s", "--save", path(&save)?];
            let received = self.user(to, &args)?;
            let file = array(&received["files"]).first().cloned().ok_or("no file came")?;
            let same = std::fs::read(text(&file["path"]))? == std::fs::read(&source)?;
            if !same {
                return Err(format!("{name} came back changed").into());
            }
            println!("  {to} has {name}, byte for byte");
            let down = began.elapsed().as_secs_f64();
            self.summary.push(format!(
                "{FILE_BYTES} bytes from {from} to {to}: sent in {up:.1} s, fetched in {down:.1} s"
            ));
        }
        Ok(())
    }

    fn text_while_one_hangs(&mut self) -> Result<()> {
        heading("Ben writes to Ana while a member of her swarm hangs");
        let probe = self.user("ben", &["send", "ana", "Which swarm?"])?;
        self.expect("ana", "Which swarm?")?;
        let hung = self.members(text(&probe["swarm"]))?;
        let hung = hung.first().ok_or("the swarm has no member")?.clone();
        self.node(&["devnet", "stop", &hung])?;
        println!("  {hung} stopped with SIGSTOP");
        let sent = self.user("ben", &["send", "ana", "Still here?"])?;
        self.show_sent(&sent)?;
        self.expect("ana", "Still here?")?;
        self.node(&["devnet", "cont", &hung])?;
        self.summary.push(format!(
            "text stored by {} of {} members and read while one hung",
            sent["copies"], sent["members"]
        ));
        let status = self.user("ben", &["status", text(&sent["id"])])?;
        println!("  its delivery states:");
        let steps = array(&status["history"]);
        let at = |step: &Value| step["at"].as_u64().unwrap_or_default();
        let first = steps.first().map(at).unwrap_or_default();
        for step in steps {
            println!("    {:10} after {} ms", text(&step["state"]), at(step).saturating_sub(first));
        }
        Ok(())
    }

    fn stop(&mut self) {
        if std::mem::take(&mut self.is_up) {
            heading("Everything is stopped");
            if let Err(error) = self.node(&["devnet", "down"]) {
                eprintln!("  {error}");
            }
        }
    }

    fn show_sent(&self, sent: &Value) -> Result<()> {
        let hops: Vec<&str> = array(&sent["hops"]).iter().map(text).collect();
        println!(
            "  {}: {} of {} members of swarm {} have it on disk, after {} ms",
            text(&sent["state"]),
            sent["copies"],
            sent["members"],
            text(&sent["swarm"]),
            sent["ms"]
        );
        let mut distinct = hops.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if hops.len() != 3 || distinct.len() != 3 {
            return Err("the message did not take distinct hops".into());
        }
        let short: Vec<&str> = hops.iter().map(|hop| hop.get(..8).unwrap_or(hop)).collect();
        println!("  path: guard → {}", short.join(" → "));
        Ok(())
    }

    fn expect(&self, who: &str, said: &str) -> Result<()> {
        let received = self.user(who, &["receive", "--timeout", "30s"])?;
        if text(&received["text"]) != said {
            return Err(format!("{who} read {} instead of {said:?}", received["text"]).into());
        }
        println!("  {who} reads: {said}");
        Ok(())
    }

    fn show(&self) -> Result<Value> {
        let network = self.net.join("network.toml");
        self.json(&self.node_program, &["network", "show", "--network", path(&network)?], None)
    }

    /// The process names of a swarm's members.
    fn members(&self, swarm: &str) -> Result<Vec<String>> {
        let list = std::fs::read_to_string(self.net.join("devnet.json"))?;
        let list: Value = serde_json::from_str(&list)?;
        let shown = self.show()?;
        let swarm = array(&shown["swarms"]).iter().find(|shown| shown["id"] == swarm);
        let members = array(&swarm.ok_or("the swarm is gone")?["members"]).to_vec();
        let named =
            array(&list["processes"]).iter().filter(|process| members.contains(&process["id"]));
        Ok(named.map(|process| text(&process["name"]).to_owned()).collect())
    }

    fn node(&self, args: &[&str]) -> Result<Value> {
        let args = [args, &["--dir", path(&self.net)?]].concat();
        self.json(&self.node_program, &args, None)
    }

    fn user(&self, who: &str, args: &[&str]) -> Result<Value> {
        self.json(&self.program, args, Some(who))
    }

    fn user_raw(&self, who: &str, args: &[&str]) -> Result<()> {
        let status = self.command(&self.program, args, Some(who))?.status()?;
        if status.success() { Ok(()) } else { Err(format!("enjambre {args:?}: {status}").into()) }
    }

    fn command(&self, program: &Path, args: &[&str], who: Option<&str>) -> Result<Command> {
        let mut command = Command::new(program);
        command.args(args);
        if let Some(who) = who {
            command.env("ENJAMBRE_NETWORK", self.net.join("network.toml"));
            command.env("ENJAMBRE_HOME", self.dir.join(who));
        }
        let name = program.file_name().and_then(|name| name.to_str()).unwrap_or("?");
        println!(
            "$ {}{name} {}",
            who.map(|who| format!("({who}) ")).unwrap_or_default(),
            args.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
        );
        Ok(command)
    }

    /// Runs a command with `--json` and gives the last object it printed.
    fn json(&self, program: &Path, args: &[&str], who: Option<&str>) -> Result<Value> {
        let output = self.command(program, args, who)?.arg("--json").output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("`{}` failed: {said}", args.join(" ")).into());
        }
        let stdout = String::from_utf8(output.stdout)?;
        Ok(serde_json::from_str(stdout.lines().last().unwrap_or("null"))?)
    }
}

fn heading(text: &str) {
    println!("\n=== {text} ===");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| "a path is not UTF-8".into())
}

/// Bytes that do not compress: a xorshift stream.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..FILE_BYTES).map(|_| step()).collect()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
