//! `enjambre`: an account, its contacts and its messages, on the command line.
//!
//! Each command is one call of the SDK and a way to print what it says: for people, or with `--json`
//! as objects. Errors go to standard error as one sentence, or as an object; the exit code is 2 for
//! wrong use, 1 for a failure, 0 for done.

mod account;
mod contact;
mod network;
mod options;
mod output;
mod receive;
mod send;
mod status;

use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Parser;
use enjambre_sdk::Client;
use enjambre_sdk::types::ClientConfig;
use options::{Command, Options};
use output::{Failure, Output};

/// How long opening a home takes before it is said what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return output::wrong_use(&error),
    };
    let output = Output::new(options.json);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(options, output)),
        Err(error) => Err(Failure::system("the program cannot start its threads", &error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failure(&failure),
    }
}

async fn run(options: Options, output: Output) -> Result<(), Failure> {
    let client = open(&options.config()?, output)?.with_deadline(options.deadline);
    let result = match options.command {
        Command::Network(command) => network::run(&client, command, output).await,
        Command::Account(command) => account::run(&client, command, output).await,
        Command::Contact(command) => contact::run(&client, command, output),
        Command::Send(arguments) => send::run(&client, arguments, output).await,
        Command::Receive(arguments) => receive::run(&client, arguments, output).await,
        Command::Status(arguments) => status::run(&client, &arguments, output),
    };
    client.close().await;
    result
}

/// Opens the home, and says what is waited for if that takes long.
fn open(config: &ClientConfig, output: Output) -> Result<Client, Failure> {
    let (opened, is_open) = channel::<()>();
    let home = config.home.clone();
    std::thread::spawn(move || {
        if is_open.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            output
                .tell(&format!("waiting for another command that is opening `{}`", home.display()));
        }
    });
    let client = Client::open(config);
    drop(opened);
    Ok(client?)
}
