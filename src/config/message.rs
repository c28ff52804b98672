//! Messages of the parser of the file, in the words of this program's messages.

/// `expected X, got Y` of a message of serde about a wrong type or value; any other message as it is, in one line.
pub(super) fn plain(message: &str) -> String {
    let message = message.replace('\n', ", ");
    let leads = ["invalid type: ", "invalid value: ", "unknown variant "];
    let rest = leads.into_iter().find_map(|lead| message.strip_prefix(lead));
    match rest.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((got, expected)) => format!("expected {}, got {got}", words(expected)),
        None => message,
    }
}

/// What serde expects, without names of types.
fn words(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "path string" => "a path",
        "a sequence" => "an array of texts",
        "a string" => "a text",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_expected_comes_first() {
        for (message, says) in [
            ("invalid type: string \"x\", expected a boolean", "expected true or false, got string \"x\""),
            ("invalid type: integer `1`, expected path string", "expected a path, got integer `1`"),
            ("unknown variant `f8`, expected one of `auto`, `f32`", "expected one of `auto`, `f32`, got `f8`"),
            ("expected a size such as 512MiB, got much", "expected a size such as 512MiB, got much"),
            ("two\nlines", "two, lines"),
        ] {
            assert_eq!(plain(message), says);
        }
    }
}
