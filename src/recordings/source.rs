//! A source: everything that determines a generated image, and the session id that follows from it.

use std::fmt;

/// What an image was made from. Two equal sources on the same model are the same image.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The prompt.
    pub prompt: String,
    /// What guidance leads away from; empty by default.
    pub negative_prompt: String,
    /// Seed of the initial noise.
    pub seed: u64,
    /// Denoising steps.
    pub steps: usize,
    /// Scale of classifier-free guidance.
    pub guidance_scale: f64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// `ses_` and 32 hexadecimal digits: the same source on the same model has the same id on every replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(String);

impl SessionId {
    /// The id as it came from a client; whether such a session exists is the store's to say.
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

impl Source {
    /// The id of this source's session on the model of the given fingerprint.
    pub fn session_id(&self, fingerprint: &str) -> SessionId {
        let mut hasher = blake3::Hasher::new_derive_key("reprompt session id, version 1");
        // Texts go in with their lengths, so that no two sources run together to the same bytes.
        for text in [fingerprint, &self.prompt, &self.negative_prompt] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        for number in
            [self.seed, self.steps as u64, self.guidance_scale.to_bits(), self.width as u64, self.height as u64]
        {
            hasher.update(&number.to_le_bytes());
        }
        SessionId(format!("ses_{}", &hasher.finalize().to_hex()[..32]))
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn source() -> Source {
        Source {
            prompt: "a cat".to_owned(),
            negative_prompt: String::new(),
            seed: 42,
            steps: 20,
            guidance_scale: 5.0,
            width: 128,
            height: 128,
        }
    }

    #[test]
    fn the_same_source_has_the_same_id_wherever_it_is_computed() {
        assert_eq!(source().session_id("model"), source().session_id("model"));
        assert_eq!(source().session_id("model").as_str(), "ses_e467e9ec3c9227deb5bdd527ce042239");
    }

    #[test]
    fn every_part_of_a_source_and_the_model_count() {
        let base = source().session_id("model");
        let changes: [fn(&mut Source); 7] = [
            |s| s.prompt.push('s'),
            |s| s.negative_prompt.push('s'),
            |s| s.seed += 1,
            |s| s.steps += 1,
            |s| s.guidance_scale += 0.5,
            |s| s.width *= 2,
            |s| s.height *= 2,
        ];
        for change in changes {
            let mut other = source();
            change(&mut other);
            assert_ne!(base, other.session_id("model"), "{other:?}");
        }
        assert_ne!(base, source().session_id("another model"));
    }
}
