//! How a command ends: 0, 64 when what the user wrote is wrong, 1 for anything else.

use std::process::ExitCode;

use crate::colour::told;
use wasm_host_settings::diagnostic::{Diagnostic, Diagnostics};

/// BSD's `EX_USAGE`.
pub const USAGE: u8 = 64;

/// Why a command ended without success.
pub enum Exit {
    /// What the user wrote is wrong; the text says where and how to correct it. Exit code 64.
    Usage(String),
    /// The host said no, and this is what it said. Exit code 1.
    Verdict(String),
    /// All of it has been shown. Exit code 1.
    Told,
    /// Anything else. Exit code 1.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Diagnostics> for Exit {
    fn from(wrong: Diagnostics) -> Self {
        Self::Usage(wrong.to_string())
    }
}

impl From<Vec<Diagnostic>> for Exit {
    fn from(wrong: Vec<Diagnostic>) -> Self {
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        Self::Usage(lines.join("\n"))
    }
}

impl Exit {
    /// What the user is told. None: that has been told already.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Usage(text) | Self::Verdict(text) => Some(text.clone()),
            Self::Told => None,
            Self::Failed(error) => Some(format!("{error:#}")),
        }
    }

    /// Tell the user; gives the code that tells a program.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                eprintln!("{}", told(&text));
                ExitCode::from(USAGE)
            }
            Self::Verdict(text) => {
                eprint!("{}", told(&text));
                ExitCode::FAILURE
            }
            Self::Told => ExitCode::FAILURE,
            Self::Failed(error) => {
                let text = format!("wasm-host: error: {error:#}");
                eprintln!("{}", told(&text));
                ExitCode::FAILURE
            }
        }
    }
}
