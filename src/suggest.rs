//! What may have been meant by a name that is none.

/// Names that are less alike than this (by Jaro and Winkler, 1 is equal) have nothing to do with each other.
const ALIKE: f64 = 0.85;

/// The known name that is most like this one, if any is like it; case aside, and words may be joined by anything.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let name = plain(name);
    let alike = known.map(|known| (strsim::jaro_winkler(&name, &plain(known)), known));
    let (likeness, known) = alike.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= ALIKE).then_some(known)
}
