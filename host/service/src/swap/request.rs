//! What is asked of swaps, and why there can be no outcome at all.

use std::time::Duration;

use crate::version::Version;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_engine::compose::Part;

/// What a swap was asked for.
#[derive(Clone, Debug)]
pub struct SwapRequest {
    pub cause: String,
    /// The part that the component replaces. None: the service's own.
    pub part: Option<String>,
    pub canary: Option<CanaryTerms>,
}

/// How a version is tried before it takes all requests.
#[derive(Clone, Copy, Debug)]
pub struct CanaryTerms {
    /// 1 to 99.
    pub percent: u8,
    pub duration: Duration,
}

/// A canary's share of the requests: `10%` or `10`.
pub fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim().trim_end_matches('%').parse().ok();
    number
        .filter(|number| (1..=99).contains(number))
        .ok_or_else(|| format!("{text:?} is no share: write 1% to 99%"))
}

/// What is to be put into service.
pub(super) enum SwapTarget {
    Component(ComponentFile),
    /// What others have begun with. Whether what serves does worse than what it replaced.
    Followed {
        file: ComponentFile,
        takes_back: bool,
    },
    /// The version before the one that serves when this has its turn. `of`: only if that is this digest, which does worse
    /// than what it replaced.
    Before {
        of: Option<String>,
    },
}

impl SwapTarget {
    pub(super) fn component(&self) -> Option<&ComponentFile> {
        match self {
            Self::Component(file) | Self::Followed { file, .. } => Some(file),
            Self::Before { .. } => None,
        }
    }

    pub(super) fn takes_back(&self) -> bool {
        matches!(self, Self::Before { of: Some(_) } | Self::Followed { takes_back: true, .. })
    }
}

/// What an attempt is about, as far as it is known.
#[derive(Default)]
pub(super) struct What {
    pub(super) digest: Option<String>,
    pub(super) path: String,
    pub(super) parts: Vec<Part>,
}

impl What {
    pub(super) fn of(version: &Version) -> Self {
        Self {
            digest: Some(version.digest.full().to_owned()),
            path: version.path.display().to_string(),
            parts: version.parts().to_vec(),
        }
    }
}

/// Why there is no outcome at all.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    #[error("there is no component service {0}")]
    NoService(String),
    #[error("there is no earlier version of {0} to go back to")]
    NothingBefore(String),
    #[error("the earlier version {digest} of {service} is no longer kept")]
    Gone { service: String, digest: String },
    #[error("{service} has no part {part}; {}", told(.parts))]
    NoPart { service: String, part: String, parts: Vec<String> },
    #[error("another version of {0} serves by now")]
    NotServing(String),
}

/// What there is instead of a part that is not there.
fn told(parts: &[String]) -> String {
    match parts {
        [] => "it is one component, which is replaced without naming a part".to_owned(),
        some => format!("it has {}", some.join(", ")),
    }
}
