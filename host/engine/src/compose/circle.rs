//! Parts that serve each other in a circle, of which none can be there before the others.

use std::collections::BTreeSet;

use super::graph::Wire;

/// Parts of which each is served by the next, and the last by the first.
pub(super) fn circle(wires: &BTreeSet<Wire>, parts: usize) -> Option<Vec<usize>> {
    let servers = |part: usize| wires.iter().filter(move |wire| wire.to == part).map(|it| it.from);
    let mut done = BTreeSet::new();
    for start in 0..parts {
        let mut way = vec![(start, servers(start).collect::<Vec<_>>())];
        while let Some((part, open)) = way.last_mut() {
            let Some(next) = open.pop() else {
                done.insert(*part);
                way.pop();
                continue;
            };
            if let Some(begin) = way.iter().position(|(part, _)| *part == next) {
                let mut circle: Vec<usize> =
                    way.iter().skip(begin).map(|(part, _)| *part).collect();
                // The same words, wherever it was entered.
                let first = circle.iter().enumerate().min_by_key(|(_, part)| **part);
                let first = first.map_or(0, |(place, _)| place);
                circle.rotate_left(first);
                return Some(circle);
            }
            if !done.contains(&next) {
                way.push((next, servers(next).collect()));
            }
        }
    }
    None
}
