//! `enjambre account`: make one, show it, bring it back, hand out its card.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use enjambre_protocol::identity::RecoveryPhrase;
use enjambre_sdk::qr::Qr;
use enjambre_sdk::types::AccountInfo;
use enjambre_sdk::{Client, Error, ErrorKind};
use serde_json::json;
use zeroize::Zeroizing;

use crate::output::{Failure, Output, printable_name};

/// Bytes of a phrase that are read: twelve words have at most 107.
const PHRASE_MAX: usize = 1024;

/// What to do with the account.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account. Its twelve words are shown once: write them down. If they could not be
    /// printed, the same command prints them again.
    #[command(after_help = "Example:\n  enjambre account new --name Ana")]
    New {
        /// A name to put on your card; anybody may choose any.
        #[arg(long)]
        name: Option<String>,
    },
    /// Show your id and your card.
    #[command(after_help = "Example:\n  enjambre account show --json")]
    Show,
    /// Bring an account back from its twelve words, read from a prompt or standard input.
    #[command(after_help = "Example:\n  enjambre account restore --phrase-file words.txt")]
    Restore {
        /// A file with the twelve words.
        #[arg(long, value_name = "FILE")]
        phrase_file: Option<PathBuf>,
    },
    /// Draw your card as a QR code, on the terminal or into a file.
    #[command(after_help = "Example:\n  enjambre account qr --png card.png")]
    Qr {
        /// Write an SVG picture.
        #[arg(long, value_name = "FILE", conflicts_with = "png")]
        svg: Option<PathBuf>,
        /// Write a PNG picture.
        #[arg(long, value_name = "FILE")]
        png: Option<PathBuf>,
    },
}

pub(crate) async fn run(client: &Client, command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::New { name } => new(client, name.as_deref(), output).await,
        Command::Show => show(&client.account()?, output),
        Command::Restore { phrase_file } => {
            let phrase = read_phrase(phrase_file.as_deref())?;
            let restored = client.restore_account(&phrase).await?;
            if !restored.was_known {
                output.tell(
                    "this account's swarm knew no keys of it: if you used it in this network within \
                     the last 30 days, check the twelve words",
                );
            }
            show(&client.account()?, output)
        }
        Command::Qr { svg, png } => qr(client, svg.as_deref(), png.as_deref(), output),
    }
}

async fn new(client: &Client, name: Option<&str>, output: Output) -> Result<(), Failure> {
    let made = client.create_account(name).await?;
    let phrase = made.phrase.reveal();
    output.print(&json!({ "id": made.id, "phrase": phrase.as_str() }), || {
        format!(
            "Your id: {}\n\nYour recovery phrase, shown this once: write it down, keep it secret.\n\n  {}",
            made.id,
            phrase.as_str()
        )
    })?;
    // Only now: what could not be printed is printed by the next `account new`.
    Ok(client.phrase_shown()?)
}

fn show(account: &AccountInfo, output: Output) -> Result<(), Failure> {
    output.print(account, || {
        let name = account.name.as_deref().map_or("(none)".to_owned(), printable_name);
        let AccountInfo { id, card, device, network, .. } = account;
        format!(
            "id:      {id}\nname:    {name}\ndevice:  {device}\nnetwork: {network}\ncard:    {card}"
        )
    })
}

fn read_phrase(file: Option<&Path>) -> Result<RecoveryPhrase, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(PHRASE_MAX));
    let read = match file {
        Some(path) => {
            File::open(path).and_then(|file| file.take(PHRASE_MAX as u64).read_to_string(&mut text))
        }
        None if io::stdin().is_terminal() => {
            eprintln!("Type the twelve words and press Enter; they are shown as you type:");
            io::stdin().read_line(&mut text)
        }
        None => io::stdin().lock().take(PHRASE_MAX as u64).read_to_string(&mut text),
    };
    read.map_err(|error| Failure::system("the phrase cannot be read", &error))?;
    text.parse().map_err(|error: enjambre_protocol::identity::PhraseError| {
        Error::new(ErrorKind::InvalidInput, error.to_string()).with_source(error).into()
    })
}

fn qr(
    client: &Client,
    svg: Option<&Path>,
    png: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    let card = client.contact_card()?;
    let qr = Qr::new(&card.to_qr_text()).map_err(Error::from)?;
    let written = match (svg, png) {
        (Some(path), _) => Some((path, qr.to_svg().into_bytes())),
        (None, Some(path)) => Some((path, qr.to_png().map_err(Error::from)?)),
        (None, None) => None,
    };
    let card = card.to_string();
    match written {
        Some((path, bytes)) => {
            std::fs::write(path, bytes).map_err(|error| {
                Failure::system(&format!("`{}` cannot be written", path.display()), &error)
            })?;
            output.print(&json!({ "card": card, "path": path }), || {
                format!("Your card is in `{}`.", path.display())
            })
        }
        None => {
            let code =
                if output.is_terminal() { qr.to_colour_terminal() } else { qr.to_terminal() };
            output.print(&json!({ "card": card, "code": code }), || format!("{code}\n{card}"))
        }
    }
}
