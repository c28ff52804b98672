//! How a window is written down: a fraction, or a pair of fractions.
//!
//! Contract: read from `0.8`, which is `[0.0, 0.8]`, or from `[lo, hi]`, and checked as [`Window::new`] checks; always
//! written as the pair.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::p2p::schedule::window::Window;

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.lo, self.hi].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = Window;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fraction such as 0.8 or a window such as [0.0, 0.8]")
    }

    fn visit_f64<E: Error>(self, fraction: f64) -> Result<Window, E> {
        Window::from_fraction(fraction).map_err(E::custom)
    }

    // Beyond 1 both are refused; what the conversion rounds is far beyond.
    #[expect(clippy::cast_precision_loss)]
    fn visit_u64<E: Error>(self, fraction: u64) -> Result<Window, E> {
        self.visit_f64(fraction as f64)
    }

    #[expect(clippy::cast_precision_loss)]
    fn visit_i64<E: Error>(self, fraction: i64) -> Result<Window, E> {
        self.visit_f64(fraction as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bounds: A) -> Result<Window, A::Error> {
        let mut bound = |at| bounds.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self));
        let (lo, hi) = (bound(0)?, bound(1)?);
        Window::new(lo, hi).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<Window, String> {
        Window::deserialize(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fraction_or_a_pair_is_read_and_a_pair_written() {
        assert_eq!(read(json!(0.8)), Ok(Window { lo: 0.0, hi: 0.8 }));
        assert_eq!(read(json!(1)), Ok(Window { lo: 0.0, hi: 1.0 }));
        assert_eq!(read(json!([0.2, 1])), Ok(Window { lo: 0.2, hi: 1.0 }));
        assert_eq!(json!(Window { lo: 0.0, hi: 0.8 }), json!([0.0, 0.8]));
    }

    #[test]
    fn what_is_no_window_is_told_with_what_is() {
        let bounds = "expected a window [low, high] with 0 <= low <= high <= 1, got ";
        assert_eq!(read(json!(1.5)), Err(format!("{bounds}[0, 1.5]")));
        assert_eq!(read(json!(-1)), Err(format!("{bounds}[0, -1]")));
        assert_eq!(read(json!([0.9, 0.1])), Err(format!("{bounds}[0.9, 0.1]")));
        for wrong in [json!("0.8"), json!([0.1]), json!({}), json!(true), json!(["a", "b"]), json!([0, 0.5, 1])] {
            let error = read(wrong.clone()).unwrap_err();
            assert!(error.starts_with("invalid "), "{wrong}: {error}");
        }
        assert!(read(json!([0.1])).unwrap_err().contains("a window such as [0.0, 0.8]"));
    }
}
