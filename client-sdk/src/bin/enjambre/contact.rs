//! `enjambre contact`: the people one writes to.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use enjambre_sdk::types::ContactInfo;
use enjambre_sdk::{Client, Error, qr};
use serde_json::json;

use crate::output::{Failure, Output, printable_name};

/// What to do with contacts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add somebody by card, by id, or by a picture of a QR code.
    #[command(
        after_help = "Example:\n  enjambre contact add --qr card.png --name ben\n\nA card says more than an id: with it, false keys are noticed from the first message on."
    )]
    Add {
        #[command(flatten)]
        whom: Whom,
        /// The name to list the contact under [default: the one on the card].
        #[arg(long)]
        name: Option<String>,
    },
    /// List everybody, in the order they were added.
    #[command(after_help = "Example:\n  enjambre contact list --json")]
    List,
}

/// A contact to add.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Whom {
    /// A contact card, which begins with `enjambre:`, or an id of 66 characters.
    #[arg(value_name = "CARD|ID")]
    card_or_id: Option<String>,
    /// A PNG or JPEG picture that shows a card's QR code.
    #[arg(long, value_name = "IMAGE")]
    qr: Option<PathBuf>,
}

pub(crate) fn run(client: &Client, command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add { whom, name } => {
            let card_or_id = match (whom.qr, whom.card_or_id) {
                (Some(picture), _) => qr::read_file(&picture).map_err(Error::from)?,
                (None, text) => text.unwrap_or_default(),
            };
            let added = client.add_contact(&card_or_id, name.as_deref())?;
            output.print(&added, || format!("{} is a contact.", line(&added)))
        }
        Command::List => {
            let contacts = client.contacts()?;
            output.print(&json!({ "contacts": contacts }), || {
                let lines: Vec<String> = contacts.iter().map(line).collect();
                if lines.is_empty() { "No contacts yet.".to_owned() } else { lines.join("\n") }
            })
        }
    }
}

fn line(contact: &ContactInfo) -> String {
    let name = contact.name.as_deref().map_or("(no name)".to_owned(), printable_name);
    format!("{name}  {}", contact.id)
}
