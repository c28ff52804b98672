//! Signatures by the Standard Webhooks specification: HMAC-SHA256 over `{id}.{timestamp}.{body}`.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::media::{base64, from_base64};

/// The prefix of secrets.
const PREFIX: &str = "whsec_";
/// The bytes that the specification requires.
const MIN_BYTES: usize = 24;
const MAX_BYTES: usize = 64;

/// What webhooks are signed with: `whsec_` and the base64 of 24 to 64 random bytes. It is never shown.
#[derive(Clone)]
pub struct WebhookSecret(Hmac<Sha256>);

/// An invalid secret; it is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {PREFIX} and the base64 of {MIN_BYTES} to {MAX_BYTES} bytes")]
pub struct InvalidSecret;

impl FromStr for WebhookSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let bytes = text.strip_prefix(PREFIX).and_then(|encoded| from_base64(encoded).ok()).ok_or(InvalidSecret)?;
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
            return Err(InvalidSecret);
        }
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| InvalidSecret)
    }
}

impl WebhookSecret {
    /// The value of `webhook-signature` for a message of this id, sent at this time (seconds since 1970).
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", base64(&mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the specification's own libraries.
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        let of = |text: &str| text.parse::<WebhookSecret>().map(|_| ());
        assert_eq!(of(&format!("whsec_{}", base64(&[7; 32]))), Ok(()));
        for wrong in ["", "secret", "whsec_", "whsec_!!", &base64(&[7; 32]), &format!("whsec_{}", base64(&[7; 23]))] {
            assert_eq!(of(wrong), Err(InvalidSecret));
        }
        assert_eq!(of(&format!("whsec_{}", base64(&[7; 65]))), Err(InvalidSecret));
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        assert!(!format!("{secret:?}").contains("MfKQ"));
    }
}
