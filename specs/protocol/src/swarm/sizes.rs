//! How many swarms `n` storage nodes make.

/// The fewest members of a swarm, from five storage nodes on: a majority of five outlives two.
pub const SWARM_MIN: usize = 5;

/// The most members of a swarm: each write costs as many copies.
pub const SWARM_MAX: usize = 7;

/// The fewest storage nodes with which the `swarms`-th swarm forms: max(5 S + 2, ⌈5.5 S⌉), and one
/// for the first. The distance to [`dissolves_below`] keeps one node that comes and goes from
/// forming and dissolving a swarm each time.
pub const fn forms_at(swarms: usize) -> usize {
    if swarms <= 1 {
        return swarms;
    }
    let spare = SWARM_MIN * swarms + 2;
    let half_more = (11 * swarms).div_ceil(2);
    if spare > half_more { spare } else { half_more }
}

/// With fewer storage nodes than this one of `swarms` swarms dissolves. The last one never does.
pub const fn dissolves_below(swarms: usize) -> usize {
    if swarms <= 1 { 0 } else { SWARM_MIN * swarms }
}

/// The size below which a swarm must be filled while there are `nodes` storage nodes.
pub(super) const fn fill_to(nodes: usize) -> usize {
    if nodes < SWARM_MIN { nodes } else { SWARM_MIN }
}
