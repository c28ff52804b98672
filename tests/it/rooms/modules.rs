//! The modules of `src`, and the file in which a path ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as File, PathBuf};

use super::paths::{Named, Path};

/// The names of a module from the crate's root on; the root's own is empty.
pub type Module = Vec<String>;

/// One path of one file, and what it means.
#[derive(Debug)]
pub struct Mention {
    /// The file, below `src`.
    pub file: PathBuf,
    pub line: usize,
    /// As it is written, but from the crate's root on.
    pub names: Module,
    /// The file of the module in which the path ends, re-exports followed.
    pub target: PathBuf,
    pub is_reexport: bool,
    /// Whether it is compiled for tests only.
    pub is_test: bool,
}

/// The files of a crate by their modules.
#[derive(Debug, Default)]
pub struct Modules {
    files: BTreeMap<Module, PathBuf>,
    named: BTreeMap<Module, Named>,
}

impl Modules {
    /// Reads all of a folder `src`.
    pub fn read(src: &File) -> Self {
        let mut found = Vec::new();
        list(src, &mut found);
        let files = found.iter().map(|file| {
            let below = file.strip_prefix(src).unwrap().to_owned();
            (below, std::fs::read_to_string(file).unwrap())
        });
        Self::of(files)
    }

    /// Files with their text.
    pub fn of(files: impl IntoIterator<Item = (PathBuf, String)>) -> Self {
        let files: BTreeMap<PathBuf, String> = files.into_iter().collect();
        let mut modules = Self::default();
        for (file, text) in &files {
            let module = module_of(file, |other| files.contains_key(other));
            modules.named.insert(module.clone(), Named::of(text));
            modules.files.insert(module, file.clone());
        }
        modules
    }

    /// The folders and files directly in `src`, but for `lib.rs` and `main.rs`: the rooms.
    pub fn rooms(&self) -> BTreeSet<&str> {
        let first = self.files.keys().filter_map(|module| module.first()).map(String::as_str);
        first.filter(|room| *room != "main").collect()
    }

    /// Every path that names something in this crate.
    pub fn mentions(&self) -> Vec<Mention> {
        let mut mentions = Vec::new();
        for (module, named) in &self.named {
            for path in &named.paths {
                let Some(names) = self.at_root(module, path, true) else { continue };
                let target = &self.files[&self.end(&names, 0)];
                mentions.push(Mention {
                    file: self.files[module].clone(),
                    line: path.line,
                    target: target.clone(),
                    is_reexport: path.is_reexport,
                    is_test: path.is_test || self.is_for_tests(module),
                    names,
                });
            }
        }
        mentions
    }

    /// Whether a module or one around it is declared for tests only.
    fn is_for_tests(&self, module: &[String]) -> bool {
        module.split_last().is_some_and(|(name, parent)| {
            let declared = self.named.get(parent).is_some_and(|parent| parent.test_modules.contains(name));
            declared || self.is_for_tests(parent)
        })
    }

    /// A path from the root on; `None` for one that leads out of the crate or names something of its own file.
    fn at_root(&self, module: &Module, path: &Path, is_bound: bool) -> Option<Module> {
        let mut base = [module.as_slice(), &path.inline].concat();
        let mut rest = path.segments.as_slice();
        match rest.first()?.as_str() {
            "crate" | "reprompt" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child if self.files.contains_key(&[module.as_slice(), &[child.to_owned()]].concat()) => {
                base.clone_from(module);
            }
            // A name that a `use` of this file brought: what follows it continues that path.
            bound if is_bound => {
                let mut imports = self.named[module].imports(bound).filter(|other| *other != path);
                base = imports.find_map(|import| self.at_root(module, import, false))?;
                rest = &rest[1..];
            }
            _ => return None,
        }
        Some([&base, rest].concat())
    }

    /// The module in whose file a path from the root ends. `depth` bounds re-exports of each other.
    fn end(&self, names: &[String], depth: usize) -> Module {
        let mut module = Module::new();
        for (at, name) in names.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                module = child;
            } else if let Some(source) = self.reexport(&module, name).filter(|_| depth < 8) {
                return self.end(&[source.as_slice(), &names[at + 1..]].concat(), depth + 1);
            } else {
                break;
            }
        }
        module
    }

    /// Where a module takes a name from that it shows as its own.
    fn reexport(&self, module: &Module, name: &str) -> Option<Module> {
        let mut shown = self.named[module].imports(name).filter(|path| path.is_reexport && path.inline.is_empty());
        shown.find_map(|path| self.at_root(module, path, true))
    }
}

fn list(folder: &File, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module of a file. `x_tests.rs` beside `x.rs` is the module `x::tests`, as its `#[path]` says.
fn module_of(file: &File, exists: impl Fn(&File) -> bool) -> Module {
    let mut module: Module = file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let last = module.pop().unwrap();
    match last.strip_suffix("_tests") {
        Some(tested) if exists(&file.with_file_name(format!("{tested}.rs"))) => {
            module.extend([tested.to_owned(), "tests".to_owned()]);
        }
        _ if last != "mod" && last != "lib" => module.push(last),
        _ => {}
    }
    module
}
