//! Which option belongs to which edit.
//!
//! Contract: a `--to` begins an edit, and what follows it up to the next `--to` is that edit's own; what comes before
//! the first `--to` is common to all. With one edit there is nothing to tell apart, and all options are its own. Of an
//! option that takes one value an edit's own counts in place of the common one, lists have the entries of both; a value
//! that is given twice in one place is an error, so that nothing is passed over.

use clap::ArgMatches;

use crate::cli::CliError;
use crate::cli::edit::args::EditOptions;

/// A value of an option, and its position on the command line.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    option: &'static str,
    at: usize,
    value: String,
}

/// The options of one edit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// The target prompt.
    pub to: Option<String>,
    common: Vec<Given>,
    own: Vec<Given>,
}

/// The edits that a command line asks for, one at least.
pub fn scopes(options: &EditOptions, matches: &ArgMatches) -> Vec<Scope> {
    let numbers = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>();
    let all = [
        ("edit_type", options.edit_type.clone()),
        ("cross_replace_steps", options.cross_replace_steps.clone()),
        ("self_replace_steps", options.self_replace_steps.clone()),
        ("equalizer", options.equalizer.clone()),
        ("local_blend", options.local_blend.clone()),
        ("blend_source", options.blend_source.clone()),
        ("blend_target", options.blend_target.clone()),
        ("blend_exclude", options.blend_exclude.clone()),
        ("blend_threshold", numbers(&options.blend_threshold)),
        ("blend_start", numbers(&options.blend_start)),
    ];
    let places = |option: &str| matches.indices_of(option).into_iter().flatten();
    let given = all
        .into_iter()
        .flat_map(|(option, values)| places(option).zip(values).map(move |(at, value)| Given { option, at, value }));
    let to: Vec<(usize, String)> = places("to").zip(options.to.iter().cloned()).collect();
    split(given.collect(), &to)
}

fn split(given: Vec<Given>, to: &[(usize, String)]) -> Vec<Scope> {
    let [_, _, ..] = to else {
        return vec![Scope { to: to.first().map(|(_, to)| to.clone()), common: Vec::new(), own: given }];
    };
    let first = to.first().map_or(0, |(at, _)| *at);
    let common: Vec<Given> = given.iter().filter(|given| given.at < first).cloned().collect();
    let ends = to.iter().skip(1).map(|(at, _)| *at).chain([usize::MAX]);
    let scope = |((at, to), end): (&(usize, String), usize)| Scope {
        to: Some(to.clone()),
        common: common.clone(),
        own: given.iter().filter(|given| (*at..end).contains(&given.at)).cloned().collect(),
    };
    to.iter().zip(ends).map(scope).collect()
}

impl Scope {
    /// The value of an option that takes one.
    pub fn single(&self, option: &str) -> Result<Option<&str>, CliError> {
        let [common, own] = self.by_place(option);
        if common.len().max(own.len()) > 1 {
            let detail = "is given twice for one edit; what follows a --to belongs to that edit";
            return Err(CliError::Request(format!("--{} {detail}", option.replace('_', "-"))));
        }
        Ok(own.first().or(common.first()).copied())
    }

    /// All values of an option, the common ones first.
    pub fn list(&self, option: &str) -> Vec<&str> {
        self.by_place(option).concat()
    }

    /// The values of an option that are common to all edits, and the edit's own.
    pub fn by_place(&self, option: &str) -> [Vec<&str>; 2] {
        [&self.common, &self.own].map(|given| {
            given.iter().filter(|given| given.option == option).map(|given| given.value.as_str()).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn edits(line: &str) -> Vec<Scope> {
        let command = EditOptions::augment_args(Command::new("edit"));
        let matches = command.get_matches_from(std::iter::once("edit").chain(line.split(' ')));
        scopes(&EditOptions::from_arg_matches(&matches).unwrap(), &matches)
    }

    #[test]
    fn what_follows_a_target_is_its_own_and_what_comes_before_is_common() {
        let line = "--equalizer a=2 --self-replace-steps 0.3 --to x --equalizer b=3 --to y --self-replace-steps 0.1 \
                    --equalizer c=4 --equalizer d=5";
        let [x, y] = &edits(line)[..] else { panic!("two edits") };
        assert_eq!((x.to.as_deref(), y.to.as_deref()), (Some("x"), Some("y")));
        assert_eq!((x.list("equalizer"), y.list("equalizer")), (vec!["a=2", "b=3"], vec!["a=2", "c=4", "d=5"]));
        assert_eq!(x.single("self_replace_steps").unwrap(), Some("0.3"));
        assert_eq!(y.single("self_replace_steps").unwrap(), Some("0.1"));
        assert_eq!(y.single("edit_type").unwrap(), None);
    }

    #[test]
    fn one_edit_has_all_options_wherever_they_stand() {
        let [edit] = &edits("--equalizer a=2 --to x --equalizer b=3")[..] else { panic!("one edit") };
        assert_eq!(edit.by_place("equalizer"), [vec![], vec!["a=2", "b=3"]]);
        let [reweighting] = &edits("--edit-type reweight --equalizer a=2")[..] else { panic!("one edit") };
        assert_eq!((reweighting.to.as_deref(), reweighting.single("edit_type").unwrap()), (None, Some("reweight")));
    }

    #[test]
    fn options_without_a_value_of_their_own_keep_their_place() {
        let [x, y] = &edits("--to x --to y --local-blend --blend-threshold 0.5")[..] else { panic!("two edits") };
        assert_eq!((x.single("local_blend").unwrap(), y.single("local_blend").unwrap()), (None, Some("true")));
        assert_eq!((x.single("blend_threshold").unwrap(), y.single("blend_threshold").unwrap()), (None, Some("0.5")));
    }

    #[test]
    fn a_single_value_that_is_given_twice_in_one_place_is_an_error() {
        for line in [
            "--edit-type auto --to x --edit-type refine",
            "--to x --to y --edit-type auto --edit-type refine",
            "--edit-type auto --edit-type refine --to x --to y",
        ] {
            let edits = edits(line);
            let error = edits.iter().map(|edit| edit.single("edit_type")).find_map(Result::err);
            let error = error.expect(line).to_string();
            assert!(error.starts_with("--edit-type is given twice"), "{error}");
        }
        assert!(edits("--edit-type auto --to x --to y --edit-type refine")[1].single("edit_type").is_ok());
    }
}
