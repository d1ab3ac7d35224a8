//! The plan: which active node belongs to which swarm once nothing is in hand.
//!
//! Works on whole nodes only; what that means for configurations is decided in
//! [`super::transition`].

use std::collections::BTreeMap;

use super::active::{Active, draws, pick};
use super::quorum::majority;
use super::ring::new_swarm_id;
use super::sizes::{SWARM_MAX, SWARM_MIN, dissolves_below, fill_to, forms_at};
use super::state::{Configuration, Member, Phase};
use crate::id::SwarmId;

const CUCKOO_LABEL: &str = "enjambre/swarm-cuckoo/1";

/// New nodes that fill one swarm in one step while others can give: fewer than a majority of the
/// least size, so that nodes which join together do not get a swarm of their own.
const JOINERS_MAX: usize = 2;

/// Whether a swarm may be given or robbed of members for anything but the sizes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// No change in hand, or one that is replaced anyway.
    Free,
    /// A change in hand that is left its time.
    Held,
}

/// One swarm of the plan.
pub(super) struct Planned {
    pub(super) swarm: SwarmId,
    phase: Phase,
    pub(super) members: Vec<usize>,
    pub(super) hold: Hold,
}

/// Who goes where. Swarms that dissolve are not in it.
pub(super) struct Plan<'a> {
    active: &'a Active,
    pub(super) swarms: Vec<Planned>,
    /// All ids on either ring, dissolving ones too; sorted.
    ids: Vec<SwarmId>,
    /// Nodes without a swarm, in the order in which they are placed.
    pool: Vec<usize>,
    /// Where a node without a swarm still is a stable member.
    home: BTreeMap<usize, SwarmId>,
    /// Nodes that were not ready in time, and where.
    failed: BTreeMap<usize, SwarmId>,
    /// Nodes that had no swarm before this step, ascending.
    joined: Vec<usize>,
}

impl<'a> Plan<'a> {
    /// The plan that the configurations express. `held` are the swarms whose change is left its
    /// time, `failed` the nodes that are taken out because they were not ready in time.
    pub(super) fn new(
        configurations: &[Configuration],
        active: &'a Active,
        held: &[SwarmId],
        failed: BTreeMap<usize, SwarmId>,
    ) -> Self {
        let mut swarms = Vec::new();
        let mut placed = vec![false; active.len()];
        let mut home = BTreeMap::new();
        for configuration in configurations.iter().filter(|c| c.phase != Phase::Dissolving) {
            let swarm = configuration.swarm;
            let mut members = active.indices(configuration.planned());
            members.retain(|node| failed.get(node) != Some(&swarm));
            for &node in &members {
                placed[node] = true;
            }
            for member in configuration.stable.iter().filter(|member| active.holds(member)) {
                active.index(member.node).map(|node| home.entry(node).or_insert(swarm));
            }
            let planned = configuration.planned();
            // With fewer of them left it could never become ready.
            let alive = active.present(planned) >= majority(planned.len());
            let hold = if alive && held.contains(&swarm) { Hold::Held } else { Hold::Free };
            swarms.push(Planned { swarm, phase: configuration.phase, members, hold });
        }
        let ids = configurations.iter().map(|c| c.swarm).collect();
        let pool: Vec<usize> = (0..active.len()).filter(|&node| !placed[node]).collect();
        let joined = pool.clone();
        let mut plan = Self { active, swarms, ids, pool, home, failed, joined };
        plan.order_pool();
        plan
    }

    /// Applies the rules of sizes until none applies.
    pub(super) fn settle(&mut self, cuckoo_k: u8) {
        let nodes = self.active.len();
        while nodes < dissolves_below(self.swarms.len()) {
            self.dissolve_smallest();
        }
        while nodes >= forms_at(self.swarms.len() + 1) {
            let Some(swarm) = new_swarm_id(&self.ids) else { break };
            self.form(swarm);
        }
        self.fill(fill_to(nodes));
        self.go_home();
        self.grow();
        self.swap(cuckoo_k);
    }

    fn order_pool(&mut self) {
        let (active, failed) = (self.active, &self.failed);
        self.pool.sort_by_key(|&node| {
            (failed.contains_key(&node), active.listed(node), active.draw(node), node)
        });
    }

    /// A forming swarm goes first: it holds nothing yet. So the last owner stays.
    fn dissolve_smallest(&mut self) {
        let rank = |planned: &Planned| {
            (planned.phase != Phase::Forming, planned.members.len(), planned.swarm)
        };
        let smallest = (0..self.swarms.len()).min_by_key(|&at| rank(&self.swarms[at]));
        if let Some(at) = smallest {
            let gone = self.swarms.remove(at);
            self.home.retain(|_, swarm| *swarm != gone.swarm);
            self.pool.extend(gone.members);
            self.order_pool();
        }
    }

    fn form(&mut self, swarm: SwarmId) {
        let at = self.ids.partition_point(|id| *id < swarm);
        self.ids.insert(at, swarm);
        let at = self.swarms.partition_point(|planned| planned.swarm < swarm);
        let phase = Phase::Forming;
        self.swarms.insert(at, Planned { swarm, phase, members: Vec::new(), hold: Hold::Free });
    }

    /// Brings every swarm to `size`: from the nodes without a swarm, then from swarms above the
    /// least size. Of nodes that are new at most [`JOINERS_MAX`] while others can give; nodes that
    /// were not ready in time come last.
    fn fill(&mut self, size: usize) {
        let mut joiners: BTreeMap<SwarmId, usize> = BTreeMap::new();
        loop {
            let smallest = (0..self.swarms.len()).min_by_key(|&at| self.swarms[at].members.len());
            let Some(at) = smallest.filter(|&at| self.swarms[at].members.len() < size) else {
                break;
            };
            let taken = joiners.entry(self.swarms[at].swarm).or_default();
            let welcome = *taken < JOINERS_MAX;
            let node = self
                .take_from_pool(at, |plan, node| welcome || !plan.is_new(node))
                .or_else(|| self.take_from_swarm(at))
                .or_else(|| self.take_from_pool(at, |_, _| true))
                .or_else(|| self.take_failed());
            let Some(node) = node else { break };
            *taken += usize::from(self.is_new(node));
            self.put(at, node);
        }
    }

    /// Whether the node had no swarm before this step and is nowhere a stable member.
    fn is_new(&self, node: usize) -> bool {
        self.joined.binary_search(&node).is_ok() && !self.home.contains_key(&node)
    }

    fn put(&mut self, at: usize, node: usize) {
        self.swarms[at].members.push(node);
        self.swarms[at].hold = Hold::Free;
    }

    /// The admitted node without a swarm that suits this one best: one that still is a stable
    /// member, else the first with the fewest conflicts.
    fn take_from_pool(
        &mut self,
        at: usize,
        admits: impl Fn(&Self, usize) -> bool,
    ) -> Option<usize> {
        let Planned { swarm, members, .. } = &self.swarms[at];
        let is_home = |node: &usize| self.home.get(node) == Some(swarm);
        if !self.home.is_empty()
            && let Some(place) = self.pool.iter().position(is_home)
        {
            return Some(self.pool.remove(place));
        }
        let mut best: Option<(usize, usize)> = None;
        for (place, &node) in self.pool.iter().enumerate() {
            if self.failed.get(&node) == Some(swarm) || !admits(self, node) {
                continue;
            }
            let conflicts = self.active.conflicts(node, members);
            if best.is_none_or(|(fewest, _)| conflicts < fewest) {
                best = Some((conflicts, place));
            }
            if conflicts == 0 {
                break;
            }
        }
        best.map(|(_, place)| self.pool.remove(place))
    }

    fn take_failed(&mut self) -> Option<usize> {
        if self.pool.is_empty() { None } else { Some(self.pool.remove(0)) }
    }

    /// A member of a swarm above the least size: of one without a change in hand, of the largest,
    /// with the fewest conflicts, with the lowest drawn number.
    fn take_from_swarm(&mut self, at: usize) -> Option<usize> {
        let needy = &self.swarms[at].members;
        let mut best = None;
        for (donor, planned) in self.swarms.iter().enumerate() {
            let size = planned.members.len();
            if size <= SWARM_MIN || donor == at {
                continue;
            }
            for (place, &node) in planned.members.iter().enumerate() {
                let conflicts = self.active.conflicts(node, needy);
                let held = planned.hold == Hold::Held;
                let rank =
                    (held, SWARM_MAX - size.min(SWARM_MAX), conflicts, self.active.draw(node));
                if best.is_none_or(|(least, _, _)| rank < least) {
                    best = Some((rank, donor, place));
                }
            }
        }
        let (_, donor, place) = best?;
        self.swarms[donor].hold = Hold::Free;
        Some(self.swarms[donor].members.remove(place))
    }

    /// Puts nodes back where they still are stable members, if there is room.
    fn go_home(&mut self) {
        for node in core::mem::take(&mut self.pool) {
            let home = self.home.get(&node).copied();
            let at = self.swarms.iter().position(|planned| Some(planned.swarm) == home);
            match at.filter(|&at| self.has_room(at)) {
                Some(at) => self.put(at, node),
                None => self.pool.push(node),
            }
        }
    }

    fn has_room(&self, at: usize) -> bool {
        self.swarms[at].hold == Hold::Free && self.swarms[at].members.len() < SWARM_MAX
    }

    /// Places the nodes that are left, each in one of the swarms with room and few new nodes where
    /// it has the fewest conflicts, drawn evenly.
    fn grow(&mut self) {
        for node in core::mem::take(&mut self.pool) {
            let mut open: Vec<usize> =
                (0..self.swarms.len()).filter(|&at| self.has_room(at)).collect();
            let failed = self.failed.get(&node);
            prefer(&mut open, |at| Some(&self.swarms[at].swarm) != failed);
            prefer(&mut open, |at| {
                self.swarms[at].members.iter().filter(|node| self.is_new(**node)).count()
                    < JOINERS_MAX
            });
            let ranked: Vec<(usize, usize)> = open
                .iter()
                .map(|&at| (self.active.conflicts(node, &self.swarms[at].members), at))
                .collect();
            let fewest = ranked.iter().map(|(conflicts, _)| *conflicts).min();
            let best: Vec<usize> =
                ranked.iter().filter(|(c, _)| Some(*c) == fewest).map(|(_, at)| *at).collect();
            match pick(&best, self.active.draw(node)) {
                Some(at) => self.put(at, node),
                None => self.pool.push(node),
            }
        }
    }

    /// For each node that joined a swarm, `cuckoo_k` times: another member of it changes places
    /// with a member of another swarm.
    fn swap(&mut self, cuckoo_k: u8) {
        if cuckoo_k == 0 {
            return;
        }
        for node in core::mem::take(&mut self.joined) {
            for round in 0..cuckoo_k {
                self.swap_once(node, round);
            }
        }
    }

    fn swap_once(&mut self, joined: usize, round: u8) -> Option<()> {
        let id = self.active.member(joined).node;
        let [swarm, ours, theirs] = draws(CUCKOO_LABEL, self.active.beacon(), id, round);
        let own = self.swarms.iter().position(|p| p.members.contains(&joined))?;
        let others: Vec<usize> = (0..self.swarms.len())
            .filter(|&at| at != own && self.swarms[at].hold == Hold::Free)
            .collect();
        let other = pick(&others, swarm)?;
        let places: Vec<usize> = (0..self.swarms[own].members.len())
            .filter(|&place| self.swarms[own].members[place] != joined)
            .collect();
        let ours = pick(&places, ours)?;
        let places: Vec<usize> = (0..self.swarms[other].members.len()).collect();
        let theirs = pick(&places, theirs)?;
        let leaves = self.swarms[own].members[ours];
        self.swarms[own].members[ours] = self.swarms[other].members[theirs];
        self.swarms[other].members[theirs] = leaves;
        Some(())
    }

    /// The members that a planned swarm has with their stores of today, sorted.
    pub(super) fn desired(&self, planned: &Planned) -> Vec<Member> {
        let mut members: Vec<Member> =
            planned.members.iter().map(|&node| self.active.member(node)).collect();
        members.sort_unstable();
        members
    }
}

/// Drops what does not fit, unless nothing fits.
fn prefer(from: &mut Vec<usize>, fits: impl Fn(usize) -> bool) {
    if from.iter().any(|&at| fits(at)) {
        from.retain(|&at| fits(at));
    }
}
