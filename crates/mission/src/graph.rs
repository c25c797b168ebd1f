//! Dependencies between work packages: what is wrong with them, and in which order they can be done.
//!
//! Pure. Never recursive: a long chain must not overflow the stack.

use std::collections::{BTreeMap, BTreeSet};

/// Work package id to the ids it depends on.
pub type Graph = BTreeMap<String, Vec<String>>;

/// Every cycle found by one depth-first walk, each closed with its first node. Empty: none.
pub fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Colour {
        Grey,
        Black,
    }
    let mut colours: BTreeMap<&str, Colour> = BTreeMap::new();
    let mut found = Vec::new();
    for start in graph.keys() {
        if colours.contains_key(start.as_str()) {
            continue;
        }
        // The way from `start` to here, with how many neighbours were looked at.
        let mut way: Vec<(&str, usize)> = vec![(start, 0)];
        colours.insert(start, Colour::Grey);
        while let Some((node, next)) = way.last_mut() {
            let Some(neighbour) = graph.get(*node).and_then(|all| all.get(*next)) else {
                colours.insert(node, Colour::Black);
                way.pop();
                continue;
            };
            *next += 1;
            match colours.get(neighbour.as_str()) {
                None if graph.contains_key(neighbour) => {
                    colours.insert(neighbour, Colour::Grey);
                    way.push((neighbour, 0));
                }
                Some(Colour::Grey) => {
                    let from = way.iter().position(|(node, _)| node == neighbour).unwrap_or_default();
                    let mut cycle: Vec<String> =
                        way[from..].iter().map(|(node, _)| (*node).to_owned()).collect();
                    cycle.push(neighbour.clone());
                    found.push(cycle);
                }
                None | Some(Colour::Black) => {}
            }
        }
    }
    found
}

/// Problems with the dependencies of one work package, cycles apart.
pub fn problems(graph: &Graph, wp_id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for dependency in graph.get(wp_id).into_iter().flatten() {
        if !crate::work_package::is_wp_id(dependency) {
            found.push(format!("Invalid WP ID format: {dependency}"));
        } else if dependency == wp_id {
            found.push(format!("Cannot depend on self: {wp_id}"));
        } else if !graph.contains_key(dependency) {
            found.push(format!("Dependency {dependency} not found in graph"));
        }
    }
    found
}

/// The nodes, each behind what it depends on; among the possible next ones, the smallest first.
/// Dependencies outside of `nodes` do not count. Nodes of a cycle are left out.
pub fn order(nodes: &BTreeSet<String>, graph: &Graph) -> Vec<String> {
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = nodes
        .iter()
        .map(|node| {
            let inside = graph.get(node).into_iter().flatten().filter(|other| nodes.contains(*other));
            (node.as_str(), inside.map(String::as_str).collect())
        })
        .collect();
    let mut ready: BTreeSet<&str> =
        waiting.iter().filter(|(_, on)| on.is_empty()).map(|(node, _)| *node).collect();
    let mut out = Vec::with_capacity(nodes.len());
    while let Some(node) = ready.pop_first() {
        out.push(node.to_owned());
        for (other, on) in &mut waiting {
            if on.remove(node) && on.is_empty() {
                ready.insert(other);
            }
        }
    }
    out
}

/// Everything that `from` depends on, directly or not.
pub fn ancestors<'a>(graph: &'a Graph, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<&str> = graph.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(node) = pending.pop() {
        if found.insert(node) {
            pending.extend(graph.get(node).into_iter().flatten().map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        edges
            .iter()
            .map(|(node, on)| ((*node).to_owned(), on.iter().map(|other| (*other).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn cycle_is_closed_with_its_first_node() {
        let graph =
            graph(&[("WP01", &["WP02"]), ("WP02", &["WP03"]), ("WP03", &["WP01"]), ("WP04", &["WP01"])]);
        assert_eq!(cycles(&graph), [["WP01", "WP02", "WP03", "WP01"]]);
        assert_eq!(cycles(&Graph::from([("WP01".into(), vec!["WP01".into()])])), [["WP01", "WP01"]]);
    }

    #[test]
    fn very_long_chain_is_no_problem() {
        let long: Graph = (0..50_000).map(|i| (format!("{i:06}"), vec![format!("{:06}", i + 1)])).collect();
        assert!(cycles(&long).is_empty());
    }

    #[test]
    fn order_puts_the_smallest_first_among_equals() {
        let graph = graph(&[("WP01", &["WP03"]), ("WP02", &[]), ("WP03", &["WP09"])]);
        let nodes = graph.keys().cloned().collect();
        assert_eq!(order(&nodes, &graph), ["WP02", "WP03", "WP01"]);
        assert_eq!(problems(&graph, "WP03"), ["Dependency WP09 not found in graph"]);
    }
}
