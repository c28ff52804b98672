//! A seed: 64 bits without a sign. To leave it out is to ask for a random one.

use serde_json::{Value, json};

use crate::api::fields::node::shown;
use crate::api::fields::types::{ToJson, integer, integer_of_text};
use crate::api::fields::{FieldType, Node};
use crate::api::problem::{Code, Problem};

/// The seed of a source's noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed that a text names, as on the command line.
    ///
    /// # Errors
    /// A message that says what fits.
    pub(crate) fn of_text(text: &str) -> Result<Self, String> {
        integer_of_text(text).map(Self).ok_or_else(|| expected(text))
    }
}

/// The message about what is not a seed. Other programs ask for a random seed by -1.
fn expected(got: &str) -> String {
    format!("expected an integer from 0 to {}, got {got}; leave the seed out for a random one", u64::MAX)
}

impl FieldType for Seed {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let seed = integer(node.value).map(Self);
        seed.ok_or_else(|| node.problem(Code::InvalidValue, expected(&shown(node.value))))
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0})
    }
}

impl ToJson for Seed {
    fn to_json(&self) -> Value {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::read_value;

    #[test]
    fn what_is_not_a_seed_is_refused_with_the_range_and_with_what_to_do() {
        let range = "expected an integer from 0 to 18446744073709551615";
        let advice = "leave the seed out for a random one";
        for (json, text, got) in [
            (json!(-1), "-1", "-1"),
            (json!(7.5), "7.5", "7.5"),
            (json!(1e20), "1e20", "1e+20"),
            (json!("random"), "random", "a string"),
        ] {
            let problem = read_value::<Seed>(&json).unwrap_err();
            assert_eq!(problem.detail(), format!("{range}, got {got}; {advice}"));
            assert_eq!(Seed::of_text(text), Err(format!("{range}, got {text}; {advice}")));
        }
        assert_eq!((read_value(&json!(7.0)), Seed::of_text("1e3")), (Ok(Seed(7)), Ok(Seed(1000))));
        assert_eq!(read_value::<Option<Seed>>(&json!(null)), Ok(None));
    }
}
