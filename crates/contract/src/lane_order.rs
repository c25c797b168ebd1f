//! The order of lane moves that have one instant.
//!
//! Moves are ordered by instant, then by id. Of the moves of one work package in one instant the one that starts in its
//! lane comes first, because ids that were drawn together do not order it.

use crate::Lane;
use std::collections::{BTreeMap, HashSet, VecDeque};

/// A move of a work package, as a log or an event has it.
pub trait LaneStep {
    /// Decides between moves of one instant.
    fn event_id(&self) -> &str;
    /// The work package.
    fn wp_id(&self) -> &str;
    /// The lane it leaves.
    fn from(&self) -> Lane;
    /// Its new lane.
    fn to(&self) -> Lane;
}

/// The moves of one instant, sorted by id, in their order. `lane` is the lane of a work package before them; none when it
/// has not moved. Moves of different work packages follow their ids.
pub fn order_instant<'a, S: LaneStep>(group: &[&'a S], lane: impl Fn(&str) -> Option<Lane>) -> Vec<&'a S> {
    if let [only] = group {
        return vec![only];
    }
    let mut packages: BTreeMap<&str, Vec<&S>> = BTreeMap::new();
    for step in group {
        packages.entry(step.wp_id()).or_default().push(step);
    }
    let chains = packages.into_iter().map(|(wp_id, steps)| {
        let is_seeded = steps.iter().any(|step| step.from() == Lane::Genesis);
        let before = if is_seeded { Lane::Genesis } else { Lane::Planned };
        chain(steps, lane(wp_id).unwrap_or(before))
    });
    let mut chains: Vec<VecDeque<&S>> = chains.collect();
    let head = |chain: &VecDeque<&'a S>| chain.front().map(|step| step.event_id());
    let mut heads: BTreeMap<&str, usize> =
        chains.iter().enumerate().filter_map(|(index, chain)| Some((head(chain)?, index))).collect();
    let mut ordered = Vec::with_capacity(group.len());
    while let Some((_, index)) = heads.pop_first() {
        ordered.extend(chains[index].pop_front());
        heads.extend(head(&chains[index]).map(|id| (id, index)));
    }
    ordered
}

/// The moves of one work package and one instant, each after the one it starts from where there is one.
fn chain<S: LaneStep>(steps: Vec<&S>, mut lane: Lane) -> VecDeque<&S> {
    let mut by_start: BTreeMap<Lane, VecDeque<&S>> = BTreeMap::new();
    for step in &steps {
        by_start.entry(step.from()).or_default().push_back(step);
    }
    let mut ordered = VecDeque::with_capacity(steps.len());
    let mut placed = HashSet::new();
    let mut rest = steps.iter().copied();
    while ordered.len() < steps.len() {
        let follows = by_start.get_mut(&lane).and_then(|starts| {
            std::iter::from_fn(|| starts.pop_front()).find(|step| !placed.contains(step.event_id()))
        });
        let Some(step) = follows.or_else(|| rest.find(|step| !placed.contains(step.event_id()))) else {
            break;
        };
        placed.insert(step.event_id());
        lane = step.to();
        ordered.push_back(step);
    }
    ordered
}
