//! "Did you mean": the valid name that is most similar to an unknown one.

/// The least similarity (Jaro-Winkler, 1 is equal) of a suggestion.
const MIN_SIMILARITY: f64 = 0.85;

/// The valid name that is most similar to this one, if any is similar enough. Case is ignored, and `-` equals `_`.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let name = plain(name);
    let similar = known.map(|known| (strsim::jaro_winkler(&name, &plain(known)), known));
    let (similarity, known) = similar.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (similarity >= MIN_SIMILARITY).then_some(known)
}
