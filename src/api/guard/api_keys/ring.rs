//! API keys, as hashes: read from text, found in constant time.
//!
//! A line is a key, or a name and a key with white space between them; what follows a `#` at the beginning or after
//! white space is a comment. A key stands there as it is, or as `sha256:` and the hash of its bytes in hexadecimal. Keys
//! are long random strings, which nobody guesses: a slow hash would protect nothing more and cost time for every call.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Marks a key of which only the hash is given.
const HASHED: &str = "sha256:";
/// Names longer than this would fill log lines.
const MAX_NAME: usize = 64;
/// A key shorter than this can be guessed.
const SHORT_KEY: usize = 16;
/// A name longer than this beside a short key is a key beside its name.
const LONG_NAME: usize = 20;

type Hash = [u8; 32];

/// Keys, of which a call needs one.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    hash: Hash,
    name: Arc<str>,
    line: usize,
    is_short: bool,
}

/// What is wrong with a file of keys. It says where and never what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// A line is not one.
    #[error("line {line}: {detail}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        detail: String,
    },
    /// There are none.
    #[error("there is no key in it")]
    Empty,
}

impl KeyRing {
    /// The name of a key; `None` where it is none. How long that takes does not depend on the key.
    pub fn find(&self, key: &[u8]) -> Option<&Arc<str>> {
        let hash: Hash = Sha256::digest(key).into();
        // Every key is looked at, also when it was found.
        self.keys.iter().fold(None, |found, key| if key.hash.ct_eq(&hash).into() { Some(&key.name) } else { found })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none, which cannot be.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The lines of keys that can be guessed, as far as that can be seen.
    pub fn short_keys(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().filter(|key| key.is_short).map(|key| key.line)
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
                return Err(invalid(format!("it is the key of line {} again", before.line)));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(InvalidKeys::Empty) } else { Ok(Self { keys }) }
    }
}

/// The key of a line; `None` where there is nothing but a comment.
fn read(content: &str, line: usize) -> Result<Option<Key>, &'static str> {
    let words: Vec<&str> = content.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    let (name, key) = match words[..] {
        [] => return Ok(None),
        [key] => (None, key),
        [name, key] => (Some(name), key),
        _ => return Err("a line is a key, or a name and a key; comments begin with #"),
    };
    let (hash, is_short) = match key.strip_prefix(HASHED) {
        Some(digits) => (hash(digits).ok_or("sha256: is followed by 64 hexadecimal digits")?, false),
        None if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            return Err("a key is visible ASCII: it is sent in a header");
        }
        None => (Sha256::digest(key).into(), key.len() < SHORT_KEY),
    };
    let name = match name {
        // A key in place of a name would be logged.
        Some(name) if name.len() >= LONG_NAME && is_short => return Err("the name comes before its key"),
        Some(name) if is_name(name) => name.to_owned(),
        Some(_) => return Err("a name has up to 64 letters, digits, dots, dashes and underscores"),
        // A hash of a long random string tells nothing of it.
        None => hash[..4].iter().fold("key-".to_owned(), |name, byte| format!("{name}{byte:02x}")),
    };
    Ok(Some(Key { hash, name: name.into(), line, is_short }))
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
        assert_eq!(ring.short_keys().count(), 0);
    }

    #[test]
    fn a_name_may_have_several_keys_and_a_key_one_line() {
        let ring: KeyRing = "alice old-key-of-alice\nalice new-key-of-alice".parse().unwrap();
        assert_eq!(ring.find(b"old-key-of-alice"), ring.find(b"new-key-of-alice"));
        assert_eq!(error("alice one-key-for-both\n\nbob one-key-for-both"), "line 3: it is the key of line 1 again");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_not_by_what_it_is() {
        let secret = "the-secret-that-nobody-may-read";
        for (line, says) in [
            (format!("a b {secret}"), "a name and a key"),
            (format!("na/me {secret}"), "a name has"),
            (format!("{secret} alice"), "the name comes before its key"),
            (format!("alice sha256:{secret}"), "64 hexadecimal digits"),
            (format!("sha256:{}+1", "0".repeat(62)), "64 hexadecimal digits"),
            (format!("{secret}ä"), "visible ASCII"),
        ] {
            let error = error(&format!("# first\n{line}"));
            assert!(error.starts_with("line 2: ") && error.contains(says), "{line}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(error("# nothing\n\n"), "there is no key in it");
    }

    #[test]
    fn short_keys_are_told_of_and_nothing_is_shown_of_any() {
        let ring: KeyRing = "alice secret\nbob another-secret-which-is-long".parse().unwrap();
        assert_eq!(ring.short_keys().collect::<Vec<_>>(), [1]);
        assert_eq!(format!("{ring:?}"), "KeyRing { keys: 2 }");
    }
}
