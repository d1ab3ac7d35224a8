//! What the path machine asks of its driver: guards kept, silent guards probed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use enjambre_protocol::id::NodeId;
use enjambre_protocol::path::{FailedHop, Failure, Hop, Path, PathEvent, PathState};

use super::attempt::LINK_WITHIN;
use super::{Net, NetError, lock};

impl Net {
    /// Does what the machine asks for: keeps guards and second layer if they changed, and tries
    /// guards that may answer again. To be called before a drawn path is used.
    pub(super) fn keep_paths(&self) -> Result<(), NetError> {
        // Held to the end: nobody uses what another task has drawn and not kept yet.
        let mut base = lock(&self.kept_paths);
        let mut probes = Vec::new();
        let changed = {
            let mut paths = lock(&self.paths);
            while let Some(event) = paths.poll_event() {
                match event {
                    PathEvent::ProbeGuard { node } => probes.push(node),
                    PathEvent::GuardLowSuccess { rate, .. } => {
                        // Not its id: a log must not tell who the guards are.
                        tracing::warn!(?rate, "a guard loses much of what it is given");
                    }
                    // Whether it changed is seen by what was kept, also where that failed before.
                    _ => {}
                }
            }
            *paths.state() != *base
        };
        probes.into_iter().for_each(|guard| self.probe(guard));
        if !changed {
            return Ok(());
        }
        let now = self.now();
        let mut written = base.clone();
        let mut merge = |stored: Option<&[u8]>| {
            let stored = stored.and_then(|bytes| PathState::decode(bytes).ok());
            let mut paths = lock(&self.paths);
            // What another process of this home chose meanwhile is ours too.
            if let Some(theirs) = stored.filter(|stored| *stored != *base) {
                paths.merge(now, &base, &theirs);
            }
            written.clone_from(paths.state());
            written.encode()
        };
        self.keep.keep_paths(&mut merge).map_err(NetError::Keep)?;
        *base = written;
        Ok(())
    }

    /// Keeps who failed lately, so that the next process does not pay for it again. If that fails,
    /// nothing but time is lost.
    pub(super) fn keep_health(&self) {
        let bytes = lock(&self.paths).health(self.now()).encode();
        if let Err(error) = self.keep.keep_health(&bytes) {
            tracing::debug!(%error, "who failed lately was not kept");
        }
    }

    /// Calls the guards in use once, when there are any.
    pub(super) fn warm(&self) {
        let has_guards = !lock(&self.paths).guards_in_use().is_empty();
        if has_guards && !self.warmed.swap(true, Ordering::Relaxed) {
            self.call_guards();
        }
    }

    /// Calls all guards in use at once: where the first is dead, it is known at the same time
    /// whether the second is. They are the ones that know this client anyway.
    pub(super) fn call_guards(&self) {
        let guards = lock(&self.paths).guards_in_use();
        guards.into_iter().for_each(|guard| self.probe(guard));
    }

    /// Tells the machine the time, so that it says which guards to probe.
    pub(super) fn tick(&self) {
        let now = self.now();
        let is_due = lock(&self.paths).poll_timeout().is_some_and(|due| due <= now);
        if is_due {
            self.with_rng(|rng| lock(&self.paths).handle_timeout(now, rng));
        }
    }

    /// Tries to reach a guard beside everything else, and tells the machine what came of it.
    fn probe(&self, guard: NodeId) {
        let entry = self.newest().and_then(|newest| newest.document().node(&guard).cloned());
        let Some(entry) = entry else {
            lock(&self.paths).handle_guard_unreachable(self.now(), guard);
            return;
        };
        let (pool, paths) = (self.pool.clone(), Arc::clone(&self.paths));
        let now = self.now();
        let mut probes = lock(&self.probes);
        // What has ended makes room.
        while probes.try_join_next().is_some() {}
        probes.spawn(async move {
            let linked =
                tokio::time::timeout(LINK_WITHIN, pool.link(guard, &entry.addresses)).await;
            let mut paths = lock(&paths);
            match linked {
                Ok(Ok(_)) => paths.handle_guard_reachable(now, guard),
                Ok(Err(_)) | Err(_) => paths.handle_guard_unreachable(now, guard),
            }
        });
    }

    /// A hop that the newest document does not list has no key to build with: it counts as one that
    /// does not serve, so that the next draw goes round it.
    pub(super) fn charge_unlisted(&self, path: &Path) {
        let Some(newest) = self.newest() else { return };
        let hops = [Hop::Guard, Hop::Middle, Hop::Exit];
        let gone = hops.into_iter().find(|&hop| newest.document().node(&path.node(hop)).is_none());
        let now = self.now();
        let mut paths = lock(&self.paths);
        match gone {
            Some(Hop::Guard) => paths.handle_guard_unreachable(now, path.guard()),
            Some(hop) => paths.handle_failure(now, path, Failure::Hop(FailedHop(hop))),
            None => {}
        }
    }
}
