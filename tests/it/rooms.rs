//! The order of the rooms: the modules directly in `src`, and which of them may name which.
//!
//! `cli, api -> engine -> {recordings, p2p, diffusion} -> kernels`. Every path of every file is read, that of tests too.

mod circles;
mod modules;
mod paths;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use circles::{Graph, circles};
use modules::{Mention, Modules};

use crate::support::root;

/// What every room may name, unless its row says less.
const TOOLS: [&str; 4] = ["media", "suggest", "sync", "telemetry"];

/// Each room, the others that it may name, and whether [`TOOLS`] are among them.
const ROOMS: [(&str, &[&str], bool); 12] = [
    ("media", &[], false),
    ("suggest", &[], false),
    ("sync", &[], false),
    ("telemetry", &[], false),
    ("kernels", &[], true),
    // The method is pure: no tensors, no logs.
    ("p2p", &["suggest"], false),
    ("diffusion", &["kernels"], true),
    // What is recorded is diffusion's: attention of its sites, latents of its steps.
    ("recordings", &["diffusion", "kernels"], true),
    ("engine", &["diffusion", "kernels", "p2p", "recordings"], true),
    // HTTP sees no tensor: kernels are not for it.
    ("api", &["diffusion", "engine", "p2p", "recordings"], true),
    ("config", &["api", "diffusion", "engine", "p2p", "recordings"], true),
    ("cli", &["api", "config", "diffusion", "engine", "kernels", "p2p", "recordings"], true),
];

/// Our own `src`.
static SRC: LazyLock<Modules> = LazyLock::new(|| Modules::read(&root().join("src")));

/// Where a room names one that it may not, one line each.
fn misplaced(modules: &Modules) -> Vec<String> {
    let rooms = modules.rooms();
    let mut found = Vec::new();
    for Mention { file, line, names, target, .. } in modules.mentions() {
        let from = room(&file);
        // `lib.rs` and `main.rs` are above all rooms.
        let Some((_, allowed, has_tools)) = ROOMS.iter().find(|(name, ..)| *name == from) else { continue };
        // An item of `lib.rs` itself belongs to no room.
        let named = names.first().map(String::as_str).filter(|name| rooms.contains(name));
        let to = named.unwrap_or_else(|| room(&target));
        let is_allowed =
            to == from || !rooms.contains(to) || allowed.contains(&to) || (*has_tools && TOOLS.contains(&to));
        if !is_allowed {
            found.push(format!("src/{}:{line}: {from} may not name {to}: {}", file.display(), names.join("::")));
        }
    }
    found
}

/// The room that a file below `src` is in.
fn room(file: &Path) -> &str {
    let first = file.iter().next().unwrap().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// What each file needs, tests left out: a test may use what is built upon the thing that it tests. Re-exports are the
/// face of a module, not a need of it.
fn needs(modules: &Modules) -> Graph<PathBuf> {
    let mut graph = Graph::new();
    for mention in modules.mentions().into_iter().filter(|mention| !mention.is_test && !mention.is_reexport) {
        if mention.file != mention.target {
            graph.entry(mention.file).or_insert_with(BTreeSet::new).insert(mention.target);
        }
    }
    graph
}

fn folders(files: &BTreeSet<PathBuf>) -> BTreeSet<&str> {
    files.iter().map(|file| file.parent().unwrap().to_str().unwrap()).collect()
}

#[test]
fn every_room_has_its_row_in_the_table() {
    let known: BTreeSet<&str> = ROOMS.iter().map(|(name, ..)| *name).collect();
    let rooms = SRC.rooms();
    let unknown: Vec<_> = rooms.iter().filter(|room| !known.contains(*room)).collect();
    assert!(unknown.is_empty(), "no row in ROOMS says what {unknown:?} may name");
}

#[test]
fn the_table_itself_has_no_circle() {
    let allowed = |(name, others, has_tools): &(&'static str, &'static [&'static str], bool)| {
        let tools = TOOLS.iter().filter(|_| *has_tools);
        (*name, others.iter().chain(tools).copied().collect())
    };
    assert_eq!(circles(&ROOMS.iter().map(allowed).collect()), [], "rooms that may name each other");
}

#[test]
fn a_room_names_only_rooms_below_it() {
    let found = misplaced(&SRC);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_of_different_folders_do_not_need_each_other() {
    let circles = circles(&needs(&SRC));
    let across: Vec<_> = circles.iter().filter(|circle| folders(circle).len() > 1).collect();
    assert!(across.is_empty(), "these files need each other: {across:#?}");
}

/// A crate of two rooms, with `text` in a file of the method.
fn planted(text: &str) -> Modules {
    let files = [
        ("lib.rs", "pub mod api; pub mod p2p;"),
        ("api/mod.rs", "pub mod wire; pub use wire::Body;"),
        ("api/wire.rs", "pub struct Body;"),
        ("p2p/mod.rs", "mod plan; pub mod align; #[cfg(test)] mod testing;"),
        ("p2p/align.rs", ""),
        ("p2p/testing.rs", "use crate::p2p::plan::Plan;"),
        ("p2p/plan.rs", text),
    ];
    Modules::of(files.map(|(file, text)| (PathBuf::from(file), text.to_owned())))
}

#[test]
fn a_path_to_a_higher_room_is_found_however_it_is_written() {
    for text in [
        "use crate::api;",
        "use crate::api::wire::Body;",
        "use crate::{p2p::align, api::{self, wire as other}};",
        "pub(crate) use crate::api::wire::*;",
        "use super::super::api::Body;",
        "fn body() -> crate::api::Body { todo!() }",
        "fn body() { println!(\"{}\", crate::api::wire::NAME) }",
        "mod inner { use super::super::super::api::wire; }",
        "#[cfg(test)] mod tests { use crate::api::Body; }",
        "/// Words.\n#[derive(Debug)] pub struct A<'a>(&'a crate::api::Body);",
    ] {
        let found = misplaced(&planted(text));
        let line = text.lines().count();
        let place = format!("src/p2p/plan.rs:{line}: p2p may not name api");
        assert!(!found.is_empty() && found.iter().all(|found| found.starts_with(&place)), "{text}: {found:?}");
    }
    for text in [
        "//! [`crate::api`]\n/* crate::api::wire */ const A: (&str, char) = (\"crate::api::Body\", '\"');",
        "const A: &str = r#\"\" crate::api::Body\"#; fn a<'a>(x: &'a str) -> impl Sized + use<'a> { x }",
        "use std::api::Body; use ::api::Body; pub(crate) struct A { api: u8 }",
        "use crate::p2p::align; use super::align as other; use self::inner::api; mod inner { pub mod api {} }",
    ] {
        assert_eq!(misplaced(&planted(text)), [""; 0], "{text}");
    }
}

#[test]
fn a_path_leads_to_the_file_in_which_it_ends() {
    let target = |text| {
        let modules = planted(text);
        let mentions = modules.mentions();
        mentions
            .iter()
            .rfind(|mention| mention.file.ends_with("plan.rs"))
            .map(|found| found.target.display().to_string())
    };
    assert_eq!(target("use crate::api::Body;").as_deref(), Some("api/wire.rs"), "re-exported");
    assert_eq!(target("use crate::api; fn a(_: api::Body) {}").as_deref(), Some("api/wire.rs"), "through an import");
    assert_eq!(target("use crate::api as b; fn a() { b::f() }").as_deref(), Some("api/mod.rs"), "through an alias");
    assert_eq!(
        target("mod inner { use super::super::align; }").as_deref(),
        Some("p2p/align.rs"),
        "from an inline module"
    );
    assert_eq!(target("fn a() { std::mem::take(b) }"), None, "out of the crate");
}

#[test]
fn circles_are_found_and_tests_are_not_part_of_them() {
    assert_eq!(circles(&needs(&planted("use crate::p2p::testing::prompt;"))), [], "testing needs the plan, as a test");
    assert_eq!(circles(&needs(&planted("use crate::p2p::align;"))), []);

    let graph = [("a", vec!["b"]), ("b", vec!["c", "d"]), ("c", vec!["a"]), ("d", vec!["e", "d"]), ("f", vec!["e"])];
    let graph = graph.into_iter().map(|(from, to)| (from, to.into_iter().collect())).collect();
    assert_eq!(circles(&graph), [BTreeSet::from(["a", "b", "c"])]);
}
