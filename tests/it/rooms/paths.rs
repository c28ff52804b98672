//! The paths that a source file names: every `use`, and every path in expressions, types and macros.
//!
//! A file is read as tokens, so comments, strings and doc comments are not searched, and the bodies of macros are.

use std::collections::HashMap;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// A path as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Its line, from 1.
    pub line: usize,
    /// Names of the inline modules around it, from the outside in.
    pub inline: Vec<String>,
    /// `crate`, `super`, `self` and names; a path that ends in `*` ends in that.
    pub segments: Vec<String>,
    /// For a `use`: the name that it brings into its module.
    pub binds: Option<String>,
    /// A `use` that its module's users see as well.
    pub is_reexport: bool,
    /// Whether it is compiled for tests only, as far as its own file says.
    pub is_test: bool,
}

/// What a file names.
#[derive(Debug, Default)]
pub struct Named {
    /// All paths of two segments and more, and all of `use`, in the order of the text.
    pub paths: Vec<Path>,
    /// Modules in files of their own that are compiled for tests only.
    pub test_modules: Vec<String>,
    /// For each name that a `use` binds, the positions of these in `paths`.
    bound: HashMap<String, Vec<usize>>,
}

impl Named {
    /// Reads the text of a file.
    pub fn of(source: &str) -> Self {
        let mut named = Self::default();
        let file = Scope { inline: Vec::new(), is_test: false };
        file.read(source.parse().expect("a Rust file"), &mut named);
        for (at, path) in named.paths.iter().enumerate() {
            if let Some(name) = &path.binds {
                named.bound.entry(name.clone()).or_default().push(at);
            }
        }
        named
    }

    /// The imports that bind a name.
    pub fn imports(&self, name: &str) -> impl Iterator<Item = &Path> {
        self.bound.get(name).into_iter().flatten().map(|at| &self.paths[*at])
    }
}

/// The module that tokens are in.
#[derive(Clone)]
struct Scope {
    inline: Vec<String>,
    is_test: bool,
}

impl Scope {
    fn read(&self, tokens: TokenStream, named: &mut Named) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.read(group.stream(), named),
                TokenTree::Ident(_) if is(&tokens, at, "mod") && at + 2 < tokens.len() => {
                    let is_test = self.is_test || is_for_tests(&tokens[..at]);
                    let name = tokens[at + 1].to_string();
                    match &tokens[at + 2] {
                        TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                            let inline = [self.inline.as_slice(), &[name]].concat();
                            Self { inline, is_test }.read(body.stream(), named);
                        }
                        _ if is_test => named.test_modules.push(name),
                        _ => {}
                    }
                    at += 2;
                }
                // `use<'a>` of a type captures lifetimes.
                TokenTree::Ident(_) if is(&tokens, at, "use") && !is(&tokens, at + 1, "<") => {
                    let end = (at..tokens.len()).find(|end| is(&tokens, *end, ";")).unwrap_or(tokens.len());
                    let (is_test, is_reexport) = (is_for_tests(&tokens[..at]), is_public(&tokens[..at]));
                    let all = Self { is_test: self.is_test || is_test, ..self.clone() };
                    all.read_use(&tokens[at + 1..end], &[], is_reexport, named);
                    at = end;
                }
                TokenTree::Ident(first) if !continues(&tokens, at) => {
                    let mut segments = vec![first.to_string()];
                    while colons(&tokens, at + 1) && matches!(tokens.get(at + 3), Some(TokenTree::Ident(_))) {
                        segments.push(tokens[at + 3].to_string());
                        at += 3;
                    }
                    if segments.len() > 1 {
                        named.paths.push(self.path(first, segments));
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// A path that is no import.
    fn path(&self, first: &Ident, segments: Vec<String>) -> Path {
        let (line, inline) = (first.span().start().line, self.inline.clone());
        Path { line, inline, segments, binds: None, is_reexport: false, is_test: self.is_test }
    }

    /// Reads a tree of imports, `a::{b, c as d, e::*}`, that follows `prefix`.
    fn read_use(&self, tokens: &[TokenTree], prefix: &[String], is_reexport: bool, named: &mut Named) {
        for branch in tokens.split(|token| same(token, ",")).filter(|branch| !branch.is_empty()) {
            let mut segments = prefix.to_vec();
            let mut names = branch.iter();
            let mut binds = None;
            let mut first = None;
            while let Some(token) = names.next() {
                match token {
                    TokenTree::Ident(name) if name == "as" => binds = names.next().map(ToString::to_string),
                    TokenTree::Ident(name) => {
                        first = first.or(Some(name));
                        // In braces, `self` is the path before them.
                        segments.extend((name != "self" || segments.is_empty()).then(|| name.to_string()));
                    }
                    TokenTree::Group(group) => {
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.read_use(&inner, &segments, is_reexport, named);
                        first = None;
                    }
                    TokenTree::Punct(star) if star.as_char() == '*' => segments.push("*".to_owned()),
                    _ => {}
                }
            }
            if let Some(first) = first {
                let binds = binds.or_else(|| segments.last().cloned());
                named.paths.push(Path { binds, is_reexport, ..self.path(first, segments) });
            }
        }
    }
}

fn is(tokens: &[TokenTree], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| same(token, text))
}

/// Whether a token is this name or this sign.
fn same(token: &TokenTree, text: &str) -> bool {
    match token {
        TokenTree::Ident(name) => name == text,
        TokenTree::Punct(sign) => text.len() == 1 && text.starts_with(sign.as_char()),
        _ => false,
    }
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    is(tokens, at, ":") && is(tokens, at + 1, ":")
}

/// Whether a name belongs to a path or a value before it: `a::name`, `a.name`.
fn continues(tokens: &[TokenTree], at: usize) -> bool {
    (at >= 2 && colons(tokens, at - 2)) || (at >= 1 && is(tokens, at - 1, "."))
}

/// Whether the tokens before an item make it visible outside its module: `pub`, `pub(crate)`.
fn is_public(before: &[TokenTree]) -> bool {
    let visibility = match before {
        [rest @ .., TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => rest,
        all => all,
    };
    matches!(visibility.last(), Some(TokenTree::Ident(name)) if name == "pub")
}

/// Whether an attribute before an item says that it is for tests, `#[cfg(test)]`.
fn is_for_tests(before: &[TokenTree]) -> bool {
    // An item ends in `;` or in braces; what follows belongs to the next one.
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => same(other, ";"),
    };
    let item = before.iter().rev().take_while(|token| !ends(token));
    item.filter(|token| matches!(token, TokenTree::Group(_))).any(|attribute| attribute.to_string() == "[cfg (test)]")
}
