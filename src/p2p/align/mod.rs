//! How the tokens of a target prompt take their attention maps from a source prompt's.
//!
//! Contract: two tokenized prompts in, an [`Alignment`](alignment::Alignment) out. `replace`, `refine` and `reweight` are
//! the published mappers, number for number; `auto` chooses for every word the rule that fits.
//!
//! | file | holds |
//! | --- | --- |
//! | `alignment` | what an alignment is: matrix, flags, and words for people |
//! | `matrix` | a square matrix over token positions |
//! | `needleman_wunsch` | the sequence alignment with the published scores |
//! | `pairing` | which words of two prompts are the same |
//! | `replace`, `refine`, `reweight`, `auto` | the four ways to align two prompts |

pub(crate) mod alignment;
pub(crate) mod auto;
pub(crate) mod matrix;
mod needleman_wunsch;
pub(crate) mod pairing;
pub(crate) mod refine;
pub(crate) mod replace;
pub(crate) mod reweight;

#[cfg(test)]
mod properties;
