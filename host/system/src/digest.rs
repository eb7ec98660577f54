//! What names a version of a component, wherever one is spoken of.

use std::fmt;
use std::sync::Arc;

use sha2::Sha256;

/// The SHA-256 of a component's file. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest(Arc<str>);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(<Sha256 as sha2::Digest>::digest(bytes)).into())
    }

    /// All 64 digits.
    pub fn full(&self) -> &str {
        &self.0
    }

    /// As much of it as people compare.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.short())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
