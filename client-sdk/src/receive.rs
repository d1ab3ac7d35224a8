//! Receiving: members of the own swarm are read until enough answered, records are merged by hash,
//! opened, kept, and only then is the cursor moved on.

mod files;
mod pages;
mod saving;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enjambre_protocol::Retry;
use enjambre_protocol::envelope::{self, Address, Kind, OpenError, Opened, ReceiptState};
use enjambre_protocol::id::{Digest, NetworkId, NodeId};
use enjambre_protocol::identity::PinError;
use enjambre_protocol::mailbox::{Namespace, Page, RecordSeq};
use enjambre_protocol::swarm::point;
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::{mailbox, wire};

use self::files::FilesOf;
use self::pages::{MemberPages, read_pages};
use crate::account::Account;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::home::Reading;
use crate::mailbox::Answers;
use crate::online::observe;
use crate::send::Due;
use crate::store::{Change, Cursor, CursorKey, NewFile, NewInboxMessage, StoreError};
use crate::system;
use crate::types::{
    FilesCome, OutgoingState, ReceiveMode, ReceiveOptions, ReceiveSummary, Received, Warning,
};

/// The pause between two looks while waiting for a message.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause of a follower after nobody answered.
const FOLLOW_PAUSE: Duration = Duration::from_secs(5);

/// A follower tries records that did not open again this often: a clock is set, not awaited.
const OPEN_AGAIN_EVERY: Duration = Duration::from_secs(600);

/// The pause between two looks whether another process has shown what came.
const READING_PAUSE: Duration = Duration::from_millis(50);

/// What one look gave.
#[derive(Debug)]
struct Look {
    answers: Answers,
    unreadable: usize,
}

/// What was given to the caller, and whether it takes more.
struct Shown {
    count: usize,
    flow: ControlFlow<()>,
}

impl Client {
    /// Reads what waits and gives each message to `on_received`. One that it goes on from counts as
    /// read; one that it breaks at does not, and ends the call. Waits for a first one as the options
    /// say; following, it tries on when nobody answers. Files are given once what became of them is
    /// known, if their message was shown before.
    pub async fn receive(
        &self,
        options: ReceiveOptions,
        mut on_received: impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) -> Result<ReceiveSummary, Error> {
        let began = Instant::now();
        let (mut shown, mut unreadable) = (0, 0);
        self.store().write(|change| change.forget_seen(system::now()))?;
        let mut opened_again: Option<Instant> = None;
        let wait = match options.mode {
            ReceiveMode::Once { timeout } => timeout,
            ReceiveMode::Follow => Duration::ZERO,
        };
        // One for the whole call, or for each look of a follower.
        let mut deadline = self.deadline_after(wait);
        loop {
            if options.mode == ReceiveMode::Follow {
                deadline = self.deadline();
            }
            if opened_again.is_none_or(|at| at.elapsed() >= OPEN_AGAIN_EVERY) {
                self.open_again(self.network()?.network(), system::now())?;
                opened_again = Some(Instant::now());
            }
            let look = self.look(deadline).await;
            let given = self.show(&options, deadline, &mut on_received).await;
            let Shown { count, flow } = match given {
                // What another process has not shown by then is shown after the next look.
                Err(error)
                    if options.mode == ReceiveMode::Follow
                        && error.kind() == ErrorKind::HomeInUse =>
                {
                    Shown { count: 0, flow: ControlFlow::Continue(()) }
                }
                given => given?,
            };
            shown += count;
            let look = match look {
                Err(error) if options.mode == ReceiveMode::Follow => {
                    tracing::warn!(%error, "nobody answers");
                    tokio::time::sleep(FOLLOW_PAUSE).await;
                    continue;
                }
                look => look?,
            };
            unreadable += look.unreadable;
            let goes_on = flow.is_continue()
                && match options.mode {
                    ReceiveMode::Once { timeout } => shown == 0 && began.elapsed() < timeout,
                    ReceiveMode::Follow => true,
                };
            // What is owed to others comes after what is read, so that it cannot hold it up.
            if look.answers.is_complete()
                && let Err(error) = self.keep_keys_fresh(deadline).await
            {
                tracing::warn!(%error, "the account's keys were not renewed");
            }
            self.deliver_due(Due::All, deadline).await?;
            if !goes_on {
                let kept = self.store().read(|view| view.unopened_count())?;
                let kept = usize::try_from(kept).unwrap_or(usize::MAX);
                return Ok(ReceiveSummary {
                    complete: look.answers.is_complete(),
                    answered: look.answers.answered,
                    members: look.answers.members,
                    unreadable: unreadable + kept,
                    kept,
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Reads members, all at once, until a read quorum has answered. Each page is kept as it comes.
    async fn look(&self, deadline: Deadline) -> Result<Look, Error> {
        let account = Arc::new(self.own_account()?);
        let net = self.net(deadline).await?;
        let swarm = net.swarm(point(account.id().key()), deadline).await?;
        let mut unreadable = 0;
        let ask = |member, tell| {
            let after = self.cursor(&account, member)?;
            let (net, account) = (Arc::clone(&net), Arc::clone(&account));
            let id = account.id();
            let source = MemberPages { net, account, member, deadline };
            Ok::<_, Error>(read_pages(id, after, source, tell))
        };
        let take = |member, page: Page| {
            unreadable += self.keep_page(net.network(), member, &page, system::now())?;
            Ok(())
        };
        let answers = net.read(&swarm, deadline, ask, take).await?;
        if answers.answered == 0 {
            return Err(answers.into_error().into());
        }
        Ok(Look { answers, unreadable })
    }

    fn cursor(&self, account: &Account, member: NodeId) -> Result<Option<mailbox::Cursor>, Error> {
        let key = cursor_key(account, member);
        let cursor = self.store().read(|view| view.cursor(&key))?;
        Ok(cursor.map(|cursor| mailbox::Cursor {
            store: cursor.store,
            seq: RecordSeq::new(cursor.sequence),
        }))
    }

    /// Keeps what is new of a page, and moves the cursor with it in one transaction. Gives the
    /// number of new records that will never open.
    fn keep_page(
        &self,
        network: &NetworkId,
        member: NodeId,
        page: &Page,
        now: Timestamp,
    ) -> Result<usize, Error> {
        // Read after the page: whatever keys its records were sealed for, they are here by now, also
        // those that another process made.
        let account = &self.own_account()?;
        let mut opened = BTreeMap::new();
        for item in &page.items {
            let hash = Digest::from_bytes(*item.hash.as_bytes());
            if !self.store().read(|view| view.is_seen(&hash))? {
                opened.insert(hash, open(account, network, item.data.as_bytes(), now));
            }
        }
        self.store().write(|change| {
            let mut unreadable = 0;
            for item in &page.items {
                let hash = Digest::from_bytes(*item.hash.as_bytes());
                if !change.see(&hash, item.expiry)? {
                    continue;
                }
                match opened.remove(&hash) {
                    Some(Ok(message)) => {
                        unreadable += usize::from(keep_message(&change, hash, message, now)?);
                    }
                    Some(Err(error)) if error.retry() == Retry::Later => {
                        change.keep_unopened(&hash, item.data.as_bytes(), now)?;
                    }
                    Some(Err(_)) | None => unreadable += 1,
                }
            }
            let cursor = Cursor { store: page.cursor.store, sequence: page.cursor.seq.number() };
            change.set_cursor(&cursor_key(account, member), &cursor)?;
            Ok::<_, Error>(unreadable)
        })
    }

    /// Tries records again that did not open for a reason that time can change.
    fn open_again(&self, network: NetworkId, now: Timestamp) -> Result<(), Error> {
        let kept = self.store().write(|change| {
            change.forget_unopened(now)?;
            change.unopened()
        })?;
        if kept.is_empty() {
            return Ok(());
        }
        let account = self.own_account()?;
        for row in kept {
            let opened = open(&account, &network, &row.bytes, now);
            if opened.as_ref().is_err_and(|error| error.retry() == Retry::Later) {
                continue;
            }
            self.store().write(|change| {
                // Another process may have been faster.
                if change.remove_unopened(&row.hash)?
                    && let Ok(message) = opened
                {
                    keep_message(&change, row.hash, message, now)?;
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(())
    }

    /// Waits for the right to show what came.
    async fn reading(&self, deadline: Deadline) -> Result<Option<Reading>, Error> {
        let Some(home) = self.store().home() else { return Ok(None) };
        loop {
            if let Some(reading) = home.try_reading()? {
                return Ok(Some(reading));
            }
            if deadline.has_passed() {
                let text = "another process is showing the messages of this home: stop it, or try \
                            again later";
                return Err(Error::new(ErrorKind::HomeInUse, text).with_retry(Retry::Later));
            }
            tokio::time::sleep(READING_PAUSE).await;
        }
    }

    /// Gives every unread message to the caller, and fetches the files of contacts if they are to
    /// be saved: after all texts, unless each is to come with its message.
    async fn show(
        &self,
        options: &ReceiveOptions,
        deadline: Deadline,
        on_received: &mut impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) -> Result<Shown, Error> {
        let mut shown = Shown { count: 0, flow: ControlFlow::Continue(()) };
        let save = options.save.as_deref();
        let is_idle = self.store().read(|view| {
            let files = save.is_some() && !view.files_due(system::now())?.is_empty();
            let is_said = view.files_unshown()?.is_empty();
            Ok::<_, StoreError>(view.unread_count()? == 0 && is_said && !files)
        })?;
        if is_idle {
            return Ok(shown);
        }
        // Another process may be showing them: what is left when it is done is shown here.
        let _reading = self.reading(deadline).await?;
        let first = save.filter(|_| options.files == FilesCome::WithTheirMessage);
        for row in self.store().read(|view| view.unread())? {
            if let Some(dir) = first {
                // The message tells what became of them.
                let unsaid = &mut |_: Received<'_>| ControlFlow::Continue(());
                let _ = self.fetch_due(dir, FilesOf::Message(row.key), unsaid).await?;
            }
            let message = self.store().read(|view| files::described(view, &row))?;
            shown.flow = on_received(Received::Message(&message));
            if shown.flow.is_break() {
                return Ok(shown);
            }
            self.store().write(|change| {
                for file in change.files(row.key)? {
                    change.file_shown(file.key)?;
                }
                change.set_read(row.key, system::now())
            })?;
            shown.count += 1;
        }
        shown.flow = self.tell_files(on_received)?;
        if shown.flow.is_break() {
            return Ok(shown);
        }
        if let Some(dir) = save {
            shown.flow = self.fetch_due(dir, FilesOf::All, on_received).await?;
        }
        Ok(shown)
    }

    /// Renews what the account publishes before it runs out. Called when the mailbox was read to
    /// its end, so that no message is left that only the old keys open.
    async fn keep_keys_fresh(&self, deadline: Deadline) -> Result<(), Error> {
        let now = system::now();
        let account = self.own_account()?;
        let age = account.published().map(|at| now.saturating_since(at));
        let is_old = age.is_none_or(|age| age > mailbox::Ttl::WEEK.as_duration());
        let is_due = account.is_bundle_due(now) || account.is_list_due(now);
        if !(is_old || is_due || account.has_unpublished_keys()) {
            return Ok(());
        }
        let mut rng = system::rng()?;
        self.store().write(|change| {
            let Some(mut account) = Account::load(*change)? else { return Ok::<_, Error>(()) };
            if account.is_bundle_due(now) {
                account.rotate_bundle(&mut rng, now);
            }
            if account.is_list_due(now) {
                account
                    .renew_list(now)
                    .map_err(|error| Error::new(ErrorKind::HomeUnusable, error.to_string()))?;
            }
            Ok(account.save(&change)?)
        })?;
        self.publish(deadline).await
    }
}

fn cursor_key(account: &Account, member: NodeId) -> CursorKey {
    CursorKey { account: account.id(), namespace: Namespace::INBOX.number(), member }
}

/// Opens a record of the account's inbox.
fn open(
    account: &Account,
    network: &NetworkId,
    record: &[u8],
    now: Timestamp,
) -> Result<Opened, OpenError> {
    let namespace = Namespace::INBOX.number();
    let address = Address { network: *network, account: account.id(), namespace };
    let opened = envelope::open(&address, &account.opener(), record, now);
    opened.inspect_err(|error| tracing::warn!(%error, "a record in the mailbox does not open"))
}

/// What a contradiction to what is remembered of a contact means for a message.
const fn warning_of(error: PinError) -> Warning {
    match error {
        PinError::Lower { .. } => Warning::OlderDeviceList,
        _ => Warning::KeysChanged,
    }
}

/// Keeps what a record says, held against what is remembered of its sender. Messages that
/// contradict it are kept with a warning; receipts are not believed. Whether nothing was kept for
/// that.
fn keep_message(
    change: &Change<'_>,
    hash: Digest,
    opened: Opened,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Opened { sender, content, .. } = opened;
    let warning = observe(change, &sender.account(), &sender)?.err().map(|error| {
        tracing::warn!(%error, "a message contradicts what is remembered of its sender");
        warning_of(error)
    });
    match content.kind {
        Kind::Message { text, files } => {
            let key = change.receive(&NewInboxMessage {
                sender: sender.account(),
                message: content.id,
                conversation: content.conversation,
                counter: content.counter,
                text,
                sent: content.sent,
                received: now,
                hash,
                warning,
            })?;
            // A second record of the same message is the same message.
            let Some(key) = key else { return Ok(false) };
            for file in files {
                let name = file.name().as_str().to_owned();
                let new = NewFile { name, size: file.size(), reference: wire::encode(&file) };
                change.add_file(key, &new)?;
            }
            Ok(false)
        }
        Kind::Receipt { .. } if warning.is_some() => Ok(true),
        Kind::Receipt { state, messages } => {
            let state = match state {
                ReceiptState::Received => OutgoingState::Received,
                ReceiptState::Read => OutgoingState::Read,
            };
            for message in messages {
                // Only the recipient of a message can say what became of it.
                let is_theirs =
                    change.outgoing(&message)?.is_some_and(|row| row.recipient == sender.account());
                if is_theirs {
                    change.set_state(&message, &state, now)?;
                }
            }
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests;
