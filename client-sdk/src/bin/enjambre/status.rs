//! `enjambre status`: how far a message came, and what this home knows.

use clap::Args;
use enjambre_protocol::envelope::MessageId;
use enjambre_sdk::Client;
use enjambre_sdk::types::{DeliveryState, HomeStatus, MessageStatus, PathsStatus, StatusReport};

use crate::output::{Failure, Output, time};

/// Of what to show the status.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  enjambre status 8f14e45fceea167a5a36dedd4bea2543\n\nWithout an id it names your guards, the nodes that know your address: show it to nobody."
)]
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
    let swarm = home.swarm.map_or("not known yet".to_owned(), |swarm| {
        format!("{}, {} members", swarm.id, swarm.member_count)
    });
    let directory = home.directory.as_ref().map_or("none yet".to_owned(), |directory| {
        let unusable = if directory.usable { "" } else { ", too old to be used" };
        let (height, nodes) = (directory.height, directory.node_count);
        format!("height {height}, {nodes} nodes, {} old{unusable}", duration(directory.age_ms))
    });
    let mut lines = vec![
        format!("account:   {account}"),
        format!("network:   {network}"),
        format!("directory: {directory}"),
        format!("swarm:     {swarm}"),
    ];
    lines.extend(home.paths.iter().flat_map(path_lines));
    lines.extend([
        format!("contacts:  {}", home.contact_count),
        format!("to send:   {}", home.outgoing_count),
        format!("unread:    {}", home.unread_count),
        format!("files to fetch: {}", home.file_count),
    ]);
    if home.stranger_file_count > 0 {
        let count = home.stranger_file_count;
        lines.push(format!("files of people who are no contacts: {count}"));
    }
    lines.join("\n")
}

fn path_lines(paths: &PathsStatus) -> Vec<String> {
    let from = paths.anchor_height.map_or("no directory yet".to_owned(), |height| {
        format!("{} relays of height {height}", paths.relay_count)
    });
    let mut lines = vec![format!("paths:     from {from}, {} second hops", paths.middles.len())];
    lines.extend(paths.guards.iter().map(|guard| {
        let away = match (guard.listed, guard.silent) {
            (false, _) => ", not listed at present",
            (true, true) => ", does not answer at present",
            (true, false) => "",
        };
        let (since, until) = (time(guard.since.as_millis()), time(guard.expires.as_millis()));
        format!("  guard {} since {since}, until {until}{away}", guard.node.short())
    }));
    lines
}

/// An age as people say it.
fn duration(millis: u64) -> String {
    match millis / 1000 {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs => format!("{} h", secs / 3600),
    }
}
