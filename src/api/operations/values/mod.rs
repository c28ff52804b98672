//! Values of fields that several calls have: what each may be in JSON, and its schema, beside each other.
//!
//! Contract: a value is read into a type of the module that it belongs to (`p2p`, `diffusion`, `media`), which knows
//! nothing of JSON.
//!
//! | file | holds |
//! | --- | --- |
//! | `names` | values that are one of a few names |
//! | `prompt` | the text of a prompt |
//! | `seed` | a seed, which is random if it is left out |
//! | `words` | a word of a prompt, and lists of words |
//! | `windows` | a window of steps, and windows by words |
//! | `blend` | a local blend: a boolean, or an object with words |

pub(crate) mod blend;
pub(crate) mod names;
pub(crate) mod prompt;
pub(crate) mod seed;
pub(crate) mod windows;
pub(crate) mod words;
