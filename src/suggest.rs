//! "Did you mean": the known name that is most like an unknown one.

/// Names that are less alike than this (by Jaro and Winkler, 1 is equal) are not suggested.
const MIN_SIMILARITY: f64 = 0.85;

/// The known name that is most like this one, if any is like it. Case does not count, and `-` is the same as `_`.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let name = plain(name);
    let similar = known.map(|known| (strsim::jaro_winkler(&name, &plain(known)), known));
    let (similarity, known) = similar.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (similarity >= MIN_SIMILARITY).then_some(known)
}
