//! `enjambre status`: how far a message came, and what this home knows.

use clap::Args;
use enjambre_protocol::envelope::MessageId;
use enjambre_sdk::Client;
use enjambre_sdk::types::{DeliveryState, HomeStatus, MessageStatus, StatusReport};

use crate::output::{Failure, Output, time};

/// Of what to show the status.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  enjambre status 8f14e45fceea167a5a36dedd4bea2543")]
pub(crate) struct Arguments {
    /// The id of a message that was sent from here.
    #[arg(value_name = "ID")]
    id: Option<MessageId>,
}

pub(crate) fn run(client: &Client, arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let report = client.status(arguments.id)?;
    output.print(&report, || match &report {
        StatusReport::Message(message) => message_lines(message),
        StatusReport::Home(home) => home_lines(home),
    })
}

/// A state in words.
pub(crate) const fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Queued => "queued",
        DeliveryState::OnItsWay => "on its way",
        DeliveryState::Stored => "stored",
        DeliveryState::Received => "received",
        DeliveryState::Read => "read",
        DeliveryState::Failed => "failed",
    }
}

fn message_lines(message: &MessageStatus) -> String {
    let mut lines = vec![format!("message {} to {}", message.id, message.to)];
    for step in &message.history {
        let reason = step.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("  {}  {}{reason}", time(step.at.as_millis()), word(step.state)));
    }
    if message.members > 0 {
        lines.push(format!("  {} of {} members have it", message.copies, message.members));
    }
    if let Some(next) = message.next_try {
        let tries = message.attempts;
        lines.push(format!("  tried {tries} times, next try {}", time(next.as_millis())));
    }
    lines.join("\n")
}

fn home_lines(home: &HomeStatus) -> String {
    let account = home.account.map_or("none yet".to_owned(), |id| id.to_string());
    let network = home.network.map_or("none joined".to_owned(), |id| id.to_string());
    format!(
        "account:  {account}\nnetwork:  {network}\ncontacts: {}\nto send:  {}\nunread:   {}\nfiles to fetch: {}",
        home.contact_count, home.outgoing_count, home.unread_count, home.file_count
    )
}
