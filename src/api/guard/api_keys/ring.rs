//! The API keys in force, as hashes: parsed from text, found in constant time.
//!
//! A line is a key, or a name and a key separated by white space; a `#` at the beginning or after white space starts a
//! comment. A key is written as it is, or as `sha256:` and the hash of its bytes in hexadecimal. Keys are long random
//! strings that cannot be guessed, so a slow hash would protect nothing more and cost time in every request.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The prefix of a hashed key.
const HASHED: &str = "sha256:";
/// The longest name: longer ones would fill log lines.
const MAX_NAME: usize = 64;
/// Shorter keys can be guessed.
const SHORT_KEY: usize = 16;
/// Keys with fewer different characters can be guessed too: a random key of [`SHORT_KEY`] hexadecimal digits has more.
const FEW_CHARACTERS: usize = 7;
/// Parts of keys that people choose or copy from examples.
const COMMON: [&str; 9] =
    ["password", "passw0rd", "changeme", "change-me", "change_me", "123456", "abcdef", "qwerty", "example"];
/// A name longer than this beside a short key is a key beside its name.
const LONG_NAME: usize = 20;

type Hash = [u8; 32];

/// The API keys in force.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    hash: Hash,
    name: Arc<str>,
    line: usize,
    is_weak: bool,
}

/// What is wrong with a file of keys. It names the line and never shows its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// A line is invalid.
    #[error("line {line}: {detail}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// There is no key.
    #[error("the file has no key")]
    Empty,
}

impl KeyRing {
    /// The name of a key; `None` for an unknown key. The time does not depend on the key.
    pub fn find(&self, key: &[u8]) -> Option<&Arc<str>> {
        let hash: Hash = Sha256::digest(key).into();
        // All keys are compared, also after a match.
        self.keys.iter().fold(None, |found, key| if key.hash.ct_eq(&hash).into() { Some(&key.name) } else { found })
    }

    /// The number of keys, one at least.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The lines of keys that could be guessed. Keys that are given by their hash are not known.
    pub fn weak_keys(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().filter(|key| key.is_weak).map(|key| key.line)
    }
}

/// Neither keys nor hashes.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.keys.len()).finish()
    }
}

impl FromStr for KeyRing {
    type Err = InvalidKeys;

    fn from_str(text: &str) -> Result<Self, InvalidKeys> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, content) in text.lines().enumerate() {
            let line = index + 1;
            let invalid = |detail: String| InvalidKeys::Line { line, detail };
            let Some(key) = read(content, line).map_err(|detail| invalid(detail.to_owned()))? else {
                continue;
            };
            if let Some(before) = keys.iter().find(|before| before.hash == key.hash) {
                return Err(invalid(format!("the same key as in line {}", before.line)));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(InvalidKeys::Empty) } else { Ok(Self { keys }) }
    }
}

/// The key of a line; `None` where it is empty or a comment.
fn read(content: &str, line: usize) -> Result<Option<Key>, &'static str> {
    let words: Vec<&str> = content.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    let (name, key) = match words[..] {
        [] => return Ok(None),
        [key] => (None, key),
        [name, key] => (Some(name), key),
        _ => return Err("expected a key, or a name and a key; comments begin with #"),
    };
    let (hash, is_short) = match key.strip_prefix(HASHED) {
        Some(digits) => (hash(digits).ok_or("expected 64 hexadecimal digits after sha256:")?, false),
        None if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            return Err("expected a key of visible ASCII characters, because it is sent in a header");
        }
        None => (Sha256::digest(key).into(), key.len() < SHORT_KEY),
    };
    let name = match name {
        // A key in place of a name would be logged.
        Some(name) if name.len() >= LONG_NAME && is_short => return Err("expected the name before its key"),
        Some(name) if is_name(name) => name.to_owned(),
        Some(_) => return Err("expected a name of up to 64 letters, digits, dots, dashes and underscores"),
        // The hash of a long random string reveals nothing.
        None => hash[..4].iter().fold("key-".to_owned(), |name, byte| format!("{name}{byte:02x}")),
    };
    let is_weak = is_short || (!key.starts_with(HASHED) && is_simple(key));
    Ok(Some(Key { hash, name: name.into(), line, is_weak }))
}

/// Whether a key has few different characters, or is made of what people choose.
fn is_simple(key: &str) -> bool {
    let (different, lower): (BTreeSet<u8>, _) = (key.bytes().collect(), key.to_lowercase());
    different.len() < FEW_CHARACTERS || COMMON.iter().any(|common| lower.contains(common))
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn hash(digits: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    let is_hexadecimal = digits.len() == 2 * hash.len() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    is_hexadecimal.then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<KeyRing>().unwrap_err().to_string()
    }

    #[test]
    fn keys_are_found_plain_hashed_named_and_among_comments() {
        let hashed: String = Sha256::digest("hashed-and-quite-long").iter().map(|byte| format!("{byte:02X}")).collect();
        let text = format!(
            "# keys\n\nplain-and-quite-long\n  alice \t alices-key-is-long=  # since May\nbob sha256:{hashed}\r\n#sha256:x\n"
        );
        let ring: KeyRing = text.parse().unwrap();
        assert_eq!(ring.len(), 3);
        let name = |key: &str| ring.find(key.as_bytes()).map(|name| name.to_string());
        assert_eq!(name("alices-key-is-long="), Some("alice".to_owned()));
        assert_eq!(name("hashed-and-quite-long"), Some("bob".to_owned()));
        let unnamed = name("plain-and-quite-long").unwrap();
        assert!(unnamed.starts_with("key-") && unnamed.len() == 12, "{unnamed}");
        for wrong in ["", "alice", "alices-key-is-long", "#", &hashed, &format!("sha256:{hashed}")] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        // All of a hash is compared.
        assert!((0..5000).all(|number| ring.find(format!("wrong-{number}").as_bytes()).is_none()));
        assert_eq!(ring.weak_keys().count(), 0);
    }

    #[test]
    fn a_name_may_have_several_keys_and_a_key_one_line() {
        let ring: KeyRing = "alice old-key-of-alice\nalice new-key-of-alice".parse().unwrap();
        assert_eq!(ring.find(b"old-key-of-alice"), ring.find(b"new-key-of-alice"));
        assert_eq!(error("alice one-key-for-both\n\nbob one-key-for-both"), "line 3: the same key as in line 1");
    }

    #[test]
    fn errors_name_the_line_and_never_show_its_content() {
        let secret = "the-secret-that-no-log-may-show";
        for (line, says) in [
            (format!("a b {secret}"), "a name and a key"),
            (format!("na/me {secret}"), "a name of up to"),
            (format!("{secret} alice"), "expected the name before its key"),
            (format!("alice sha256:{secret}"), "64 hexadecimal digits"),
            (format!("sha256:{}+1", "0".repeat(62)), "64 hexadecimal digits"),
            (format!("{secret}ä"), "visible ASCII"),
        ] {
            let error = error(&format!("# first\n{line}"));
            assert!(error.starts_with("line 2: ") && error.contains(says), "{line}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(error("# nothing\n\n"), "the file has no key");
    }

    #[test]
    fn weak_keys_are_reported_and_no_key_is_shown() {
        let ring: KeyRing = "alice secret\nbob another-secret-which-is-long".parse().unwrap();
        assert_eq!(ring.weak_keys().collect::<Vec<_>>(), [1]);
        let weak = [
            "hello",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "0101010101010101010101",
            "MyPassword-for-the-service",
            "1234567890123456",
        ];
        for key in weak {
            assert_eq!(key.parse::<KeyRing>().unwrap().weak_keys().count(), 1, "{key}");
        }
        // Of `openssl rand -hex 32`, `openssl rand -base64 24`, `uuidgen`.
        for key in [
            "9c1185a5c5e9fc54612808977ee8f548b2258d31a7b3d6e0f4c9a8d7e6b5c4d3",
            "q3Zx0V1mT8uYc5sLh2Jd9RkWb7NfGa4e",
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        ] {
            assert_eq!(key.parse::<KeyRing>().unwrap().weak_keys().count(), 0, "{key}");
        }
        assert_eq!(format!("{ring:?}"), "KeyRing { keys: 2 }");
    }
}
