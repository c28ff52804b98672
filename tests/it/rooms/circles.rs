//! Circles of a graph: its strongly connected components of more than one node, by Tarjan's algorithm.

use std::collections::{BTreeMap, BTreeSet};

/// From each node to those that it names.
pub type Graph<T> = BTreeMap<T, BTreeSet<T>>;

/// All sets of two nodes and more of which each reaches each, every set in order.
pub fn circles<T: Ord + Clone>(graph: &Graph<T>) -> Vec<BTreeSet<T>> {
    let mut search = Search { graph, stack: Vec::new(), index: BTreeMap::new(), found: Vec::new() };
    for node in graph.keys() {
        if !search.index.contains_key(node) {
            search.visit(node);
        }
    }
    search.found
}

struct Search<'a, T> {
    graph: &'a Graph<T>,
    stack: Vec<&'a T>,
    /// When a node was first seen; the largest number once its component is complete.
    index: BTreeMap<&'a T, usize>,
    found: Vec<BTreeSet<T>>,
}

impl<'a, T: Ord + Clone> Search<'a, T> {
    /// The earliest open node that `node` reaches.
    fn visit(&mut self, node: &'a T) -> usize {
        let own = self.index.len();
        self.index.insert(node, own);
        self.stack.push(node);
        let mut lowest = own;
        for next in self.graph.get(node).into_iter().flatten() {
            lowest = lowest.min(match self.index.get(next) {
                Some(seen) => *seen,
                None => self.visit(next),
            });
        }
        if lowest == own {
            let at = self.stack.iter().position(|open| *open == node).unwrap();
            let component = self.stack.split_off(at);
            self.index.extend(component.iter().map(|node| (*node, usize::MAX)));
            if component.len() > 1 {
                self.found.push(component.into_iter().cloned().collect());
            }
        }
        lowest
    }
}
