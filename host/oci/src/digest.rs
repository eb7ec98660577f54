//! What names content in a registry: `sha256:` and 64 digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "sha256:";

/// The SHA-256 of some bytes, as registries write it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentDigest([u8; 32]);

/// Something else than `sha256:` and 64 digits.
#[derive(Debug, PartialEq, Eq)]
pub struct NoDigest;

/// Takes bytes as they come.
#[derive(Default)]
pub struct Digesting(Sha256);

impl ContentDigest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// As much of it as people compare.
    pub fn short(&self) -> String {
        let digits: String = self.hex().chars().take(12).collect();
        format!("{PREFIX}{digits}")
    }
}

impl Digesting {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> ContentDigest {
        ContentDigest(self.0.finalize().into())
    }
}

impl FromStr for ContentDigest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digits = text.strip_prefix(PREFIX).ok_or(NoDigest)?;
        if digits.contains(|digit: char| digit.is_ascii_uppercase()) {
            return Err(NoDigest);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NoDigest)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ContentDigest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

impl From<ContentDigest> for String {
    fn from(digest: ContentDigest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for NoDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a digest is sha256: and 64 digits of 0-9 and a-f")
    }
}

impl std::error::Error for NoDigest {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_as_it_is_written() {
        let digest = ContentDigest::of(b"");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(digest.short(), "sha256:e3b0c44298fc");
        for wrong in ["", "sha256:", &text[..70], &text.to_uppercase(), &text.replace('e', "E")] {
            assert_eq!(wrong.parse::<ContentDigest>(), Err(NoDigest), "{wrong}");
        }
    }
}
