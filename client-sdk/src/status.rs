//! What a home tells of itself without asking the network.

use enjambre_protocol::directory::{Genesis, VerifiedDocument};
use enjambre_protocol::path::{Member, PathHealth, PathState};
use enjambre_protocol::swarm::point;

use crate::account::Account;
use crate::client::{JoinedNetwork, joined};
use crate::error::Error;
use crate::net::restore_document;
use crate::store::{FilesFrom, MetaKey, View};
use crate::system;
use crate::types::{DirectoryStatus, HomeStatus, LongHop, PathsStatus, SwarmStatus};

pub(crate) fn home_status(view: View<'_>) -> Result<HomeStatus, Error> {
    let account = Account::load(view)?.filter(|account| account.published().is_some());
    let network = joined(view)?;
    let genesis = match &network {
        Some(JoinedNetwork::Genesis(genesis)) => Some(genesis),
        Some(JoinedNetwork::Card(_)) | None => None,
    };
    let document = |key| -> Result<_, Error> {
        let bytes = view.meta(key)?;
        Ok(genesis
            .and_then(|genesis| restore_document(bytes.as_deref().map(Vec::as_slice), genesis)))
    };
    let newest = document(MetaKey::Directory)?;
    let anchor = document(MetaKey::Anchor)?;
    let state = view.meta(MetaKey::Paths)?.and_then(|bytes| PathState::decode(&bytes).ok());
    let health = view.meta(MetaKey::PathHealth)?.and_then(|bytes| PathHealth::decode(&bytes).ok());
    let health = health.unwrap_or_default();
    let swarm = account.as_ref().zip(newest.as_deref()).and_then(|(account, newest)| {
        let route = newest.document().swarms.route(point(account.id().key()))?;
        Some(SwarmStatus { id: route.stable.swarm, member_count: route.stable.stable.len() })
    });
    Ok(HomeStatus {
        account: account.as_ref().map(Account::id),
        published: account.as_ref().and_then(Account::published),
        network: network.as_ref().map(JoinedNetwork::network),
        directory: genesis
            .zip(newest.as_deref())
            .map(|(genesis, newest)| directory(genesis, newest)),
        swarm,
        paths: state.map(|state| paths(&state, &health, anchor.as_deref())),
        contact_count: view.contact_count()?,
        outgoing_count: view.outgoing_count()?,
        unread_count: view.unread_count()?,
        file_count: view.file_count(FilesFrom::Contacts)?,
        stranger_file_count: view.file_count(FilesFrom::Strangers)?,
    })
}

fn directory(genesis: &Genesis, newest: &VerifiedDocument) -> DirectoryStatus {
    let document = newest.document();
    let age = system::now().saturating_since(document.time);
    DirectoryStatus {
        height: document.height,
        time: document.time,
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        usable: age <= genesis.params.stale_after(),
        node_count: document.nodes.len(),
    }
}

fn paths(state: &PathState, health: &PathHealth, anchor: Option<&VerifiedDocument>) -> PathsStatus {
    let now = system::now();
    let hop = |member: &Member| LongHop {
        node: member.node,
        since: member.first_seen,
        expires: member.expires,
        listed: anchor.is_some_and(|anchor| anchor.document().node(&member.node).is_some()),
        silent: health.is_down(&member.node, now),
    };
    PathsStatus {
        anchor_height: anchor.map(|anchor| anchor.document().height),
        relay_count: anchor.map_or(0, |anchor| anchor.document().nodes.len()),
        guards: state.guards().iter().map(hop).collect(),
        middles: state.middles().iter().map(hop).collect(),
    }
}
