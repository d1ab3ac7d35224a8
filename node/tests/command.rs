//! The `enjambre-node` command as a process: exit codes, JSON and errors are the contract that
//! scripts rely on.
#![allow(clippy::unwrap_used)]

#[path = "command/devnet.rs"]
mod devnet;
#[path = "command/failures.rs"]
mod failures;
#[path = "command/harness.rs"]
mod harness;
#[path = "command/keys.rs"]
mod keys;
#[path = "command/network.rs"]
mod network;

use harness::Temp;

/// Every command that `--help` lists, from `words` down.
fn commands(temp: &Temp, words: &[String], found: &mut Vec<Vec<String>>) {
    let mut asked: Vec<&str> = words.iter().map(String::as_str).collect();
    asked.push("--help");
    let output = temp.command(&asked).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{words:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            commands(temp, &[words, &[name.to_owned()]].concat(), found);
        }
    }
    assert!(help.contains("Example: enjambre-node "), "{words:?} shows no example");
    found.push(words.to_vec());
}

#[test]
fn help_of_every_command_has_an_example() {
    let mut found = Vec::new();
    commands(&Temp::new(), &[], &mut found);
    let names: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
    for name in
        ["init", "run", "key export", "devnet up", "network show", "network start", "authority run"]
    {
        assert!(names.contains(&name.to_owned()), "{name} is not in {names:?}");
    }
}
