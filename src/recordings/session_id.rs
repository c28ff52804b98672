//! Session ids and how they are derived from the fields of a source.
//!
//! The derivation is versioned by its BLAKE3 context. Fields are hashed as (name, value), each with its length, in the
//! order of their names, so that no two sets of fields run together to the same bytes and the order in which they are
//! given does not matter. An optional field that is absent is not hashed at all: sources that were made before the
//! field existed keep their ids.
//!
//! Version 1 hashed a fixed row of values and had no sampler.

use std::collections::BTreeMap;
use std::fmt;

const CONTEXT: &str = "reprompt session id, version 2";
/// Hexadecimal digits of an id: 128 bits of the hash.
const DIGITS: usize = 32;

/// `ses_` and 32 hexadecimal digits: the same source on the same model has the same id on every replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(String);

impl SessionId {
    /// The id as a client sent it: any text. Whether there is such a session is not checked here.
    pub fn from_client(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The named fields that an id is derived from.
#[derive(Debug, Default)]
pub(crate) struct IdentityFields(BTreeMap<&'static str, Vec<u8>>);

impl IdentityFields {
    /// Adds a field that every source has.
    pub(crate) fn required(&mut self, name: &'static str, value: &[u8]) {
        let replaced = self.0.insert(name, value.to_vec());
        debug_assert!(replaced.is_none(), "field {name} is given twice");
    }

    /// Adds a field that a source may lack; `None` where it is absent or has its neutral value.
    pub(crate) fn optional(&mut self, name: &'static str, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.required(name, value);
        }
    }

    /// The id that follows from the fields.
    pub(crate) fn session_id(&self) -> SessionId {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for (name, value) in &self.0 {
            for bytes in [name.as_bytes(), value.as_slice()] {
                hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
            }
        }
        SessionId(format!("ses_{}", &hasher.finalize().to_hex()[..DIGITS]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::btree_map;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::{IdentityFields, SessionId};

    const NAMES: [&str; 4] = ["a", "ab", "adapters", "b"];

    fn fields() -> impl Strategy<Value = BTreeMap<&'static str, Vec<u8>>> {
        btree_map(select(&NAMES[..]), "[ab]{0,2}".prop_map(String::into_bytes), 0..4)
    }

    fn id<'a>(fields: impl Iterator<Item = (&'a &'static str, &'a Vec<u8>)>) -> SessionId {
        let mut all = IdentityFields::default();
        fields.for_each(|(name, value)| all.required(name, value));
        all.session_id()
    }

    #[test]
    fn an_absent_field_leaves_the_id_as_it_is_and_an_empty_one_does_not() {
        let with = |value: Option<&[u8]>| {
            let mut fields = IdentityFields::default();
            fields.required("prompt", b"a cat");
            fields.optional("adapters", value);
            fields.session_id()
        };
        let mut before = IdentityFields::default();
        before.required("prompt", b"a cat");
        assert_eq!(with(None), before.session_id());
        assert_ne!(with(Some(b"")), with(None));
        assert_ne!(with(Some(b"x")), with(Some(b"")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn ids_are_equal_exactly_where_the_fields_are(a in fields(), b in fields()) {
            prop_assert_eq!(id(a.iter()) == id(b.iter()), a == b);
        }

        #[test]
        fn the_order_in_which_fields_are_given_does_not_matter(fields in fields()) {
            prop_assert_eq!(id(fields.iter()), id(fields.iter().rev()));
        }
    }
}
