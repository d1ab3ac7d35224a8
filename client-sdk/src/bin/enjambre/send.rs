//! `enjambre send`: words, files, or both to one person.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use enjambre_protocol::Retry;
use enjambre_sdk::types::{DeliveryState, SendReport, SendRequest, WaitFor};
use enjambre_sdk::{Client, Error, ErrorKind};

use crate::output::{Failure, Output};

/// What to send, and to whom.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  enjambre send ben \"Hola, Ben!\" --file photo.jpg\n\nThe message is safe once it is stored; until then it is kept here and tried again."
)]
pub(crate) struct Arguments {
    /// A contact's name, or an id.
    #[arg(value_name = "CONTACT|ID")]
    to: String,
    /// What to say.
    #[arg(required_unless_present = "file")]
    text: Option<String>,
    /// A file to send along; may be given several times.
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// How far the message must come before the command ends.
    #[arg(long, value_enum, default_value_t = Wait::Stored)]
    wait: Wait,
    /// Show the guard too, the only hop that knows your address.
    #[arg(long)]
    debug_path: bool,
}

/// States that can be waited for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wait {
    /// On the disks of a majority of the recipient's swarm.
    Stored,
}

pub(crate) async fn run(
    client: &Client,
    arguments: Arguments,
    output: Output,
) -> Result<(), Failure> {
    let Wait::Stored = arguments.wait;
    let request = SendRequest {
        to: arguments.to,
        text: arguments.text,
        files: arguments.file,
        wait: WaitFor::Stored,
    };
    let mut report = client.send(request).await?;
    if !arguments.debug_path {
        report.guard = None;
    }
    output.print(&report, || people(&report))?;
    let reason = report.reason.as_deref().unwrap_or("no majority of the swarm has confirmed it");
    if report.state == DeliveryState::Failed {
        let text = format!("the message was given up ({reason}): send less at a time");
        return Err(Error::new(ErrorKind::TooLarge, text).into());
    }
    if report.state < DeliveryState::Stored {
        let text = format!(
            "the message is not confirmed ({reason}): it is kept and tried again, see `enjambre status {}`",
            report.id
        );
        return Err(Error::new(ErrorKind::NotConfirmed, text).with_retry(Retry::Later).into());
    }
    Ok(())
}

fn people(report: &SendReport) -> String {
    let SendReport { id, state, copies, members, ms, .. } = report;
    let state = crate::status::word(*state);
    let mut lines = format!("{state} by {copies} of {members} members after {ms} ms\nid:   {id}");
    let hops: Vec<String> = report.hops.iter().map(|hop| hop.short()).collect();
    if !hops.is_empty() {
        let guard = report.guard.map_or("guard".to_owned(), |guard| guard.short());
        lines.push_str(&format!("\npath: {guard} → {}", hops.join(" → ")));
    }
    if !report.relaxed.is_empty() {
        lines.push_str(&format!(
            "\nrules given up for want of nodes: {}",
            report.relaxed.join(", ")
        ));
    }
    lines
}
